"""Learned scales, dampening, and the fp32 student as a guide."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from noise_images import noise_set
from small_models import calibrated, images, residual, separable
from torch import Tensor, nn

from edgedistill.distill.objective import StudentObjective
from edgedistill.quantize.annotate import activation_quantizers
from edgedistill.quantize.calibrate import CalibrationSet
from edgedistill.quantize.fake import ActivationQuantizer, LearnedRound, WeightQuantizer
from edgedistill.quantize.finetune import DampedObjective, finetune
from edgedistill.quantize.scales import snap
from edgedistill.quantize.spec import QuantSpec, ScaleFormat
from edgedistill.quantize.twin.training import twin_values
from edgedistill.recipe import Calibration, Finetune, Scales


@pytest.mark.parametrize(("value", "slope"), [(0.55, 1 - 0.55 / 0.5), (1.2, 2 - 1.2 / 0.5), (9.0, 3.0), (-9.0, -4.0)])
def test_the_gradient_of_a_learned_scale_is_that_of_the_paper(value: float, slope: float) -> None:
    values = torch.tensor([value], requires_grad=True)
    learned = nn.Parameter(torch.tensor(0.5))
    result = LearnedRound.apply(values, learned, learned.detach(), torch.tensor(0.0), -4, 3, 0.25)
    result.sum().backward()
    assert learned.grad is not None
    assert values.grad is not None
    assert float(learned.grad) == pytest.approx(0.25 * slope, rel=1e-5)
    assert float(values.grad) == (1.0 if abs(value) < 5 else 0.0)


def test_each_channel_of_a_weight_gets_a_gradient_of_its_own() -> None:
    quantizer = WeightQuantizer(QuantSpec())
    weight = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    quantizer.learn(weight, learning_rate_factor=0.1)
    assert quantizer.learned is not None
    (quantizer(weight) * torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1, 1)).sum().backward()
    assert quantizer.learned.grad is not None
    assert quantizer.learned.grad[0] == 0
    assert quantizer.learned.grad[1:].all()


def test_training_moves_learned_scales_and_leaves_allowed_ones() -> None:
    data, model = noise_set(), residual(width=4)
    graph = calibrated(model, images(32))
    before = {name: quantizer.scale.clone() for name, quantizer in activation_quantizers(graph).items()}
    settings = Finetune(
        epochs=2, batch_size=16, learning_rate=0.01, scales=Scales.LEARNED, scale_learning_rate=1.0, ema=0.9
    )
    finetune(
        graph,
        data,
        StudentObjective(model, temperature=2.0),
        samples=CalibrationSet(data, Calibration(samples=32), seed=0),
        settings=settings,
        seed=0,
    )
    after = activation_quantizers(graph)
    for name, quantizer in after.items():
        assert quantizer.learned is not None
        assert quantizer.learned != before[name]
        assert float(quantizer.scale) == float(snap(quantizer.scale, ScaleFormat.FP16))
        assert not quantizer.learned.requires_grad


@pytest.mark.parametrize("scales", list(Scales))
def test_the_last_steps_learn_from_what_the_device_computes(scales: Scales) -> None:
    data, model = noise_set(), residual(width=4)
    graph = calibrated(model, images(32))
    seen: list[tuple[Tensor, Tensor]] = []

    class Watched(StudentObjective):
        def __call__(self, model: nn.Module, inputs: Tensor, *rest: object) -> Tensor:
            with torch.no_grad():
                exact = twin_values(graph, inputs)[1]
            seen.append((model(inputs).detach(), exact))
            return super().__call__(model, inputs, *rest)  # type: ignore[arg-type] # as the objective's

    finetune(
        graph,
        data,
        Watched(model, temperature=2.0),
        samples=CalibrationSet(data, Calibration(samples=32), seed=0),
        settings=Finetune(epochs=2, batch_size=16, learning_rate=0.01, scales=scales, exact_steps=3),
        seed=0,
    )
    equal = [bool((computed == exact).all()) for computed, exact in seen]
    assert equal[-3:] == [True] * 3
    assert not all(equal[:-3])
    assert not graph._forward_hooks


def test_a_learned_scale_never_lets_a_code_stand_above_the_clamp() -> None:
    quantizer = ActivationQuantizer(QuantSpec(), ceiling=6.0)
    quantizer.set_range(0.0, 6.0)
    quantizer.learn(learning_rate_factor=1.0)
    assert quantizer.learned is not None
    quantizer.learned.data.fill_(0.03)
    quantizer(torch.rand(4, 3) * 6)
    assert float(quantizer.scale) * 255 <= 6.0
    assert float(quantizer.scale) > 0.0234


def test_dampening_pulls_depthwise_weights_to_their_codes_and_grows() -> None:
    graph = calibrated(separable(), images(16))

    class Nothing:
        extra = nn.ModuleList()

        def __call__(self, *_: object) -> Tensor:
            return torch.tensor(0.0)

    objective = DampedObjective(Nothing(), graph, 1.0)  # type: ignore[arg-type] # as an objective
    losses = []
    for step in (0, 5, 10):
        objective.before_step(SimpleNamespace(step=step, total_steps=11))  # type: ignore[arg-type] # what it reads
        losses.append(objective(graph, images(2), None, None, 0))  # type: ignore[arg-type] # not read
    assert losses[0].item() == 0.0
    assert losses[1].item() == pytest.approx(losses[2].item() / 2)
    losses[2].backward()
    touched = {name for name, parameter in graph.named_parameters() if parameter.grad is not None}
    assert touched
    assert all("depthwise" in name for name in touched), touched


def test_the_student_as_guide_is_content_with_itself() -> None:
    model, inputs = residual(), images(4)
    objective = StudentObjective(model, temperature=2.0)
    assert objective(model, inputs, None, None, 0).item() == pytest.approx(0.0, abs=1e-6)  # type: ignore[arg-type] # not read
    other = residual(seed=1)
    assert math.isfinite(objective(other, inputs, None, None, 0).item())  # type: ignore[arg-type] # as above
    assert objective(other, inputs, None, None, 0).item() > 0.01  # type: ignore[arg-type] # as above
