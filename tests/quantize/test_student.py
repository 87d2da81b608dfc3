"""What is done to a student, and what is not: fine-tuning where needed, layers in float where needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from noise_images import noise_set
from small_models import residual

from edgedistill.distill.objective import StudentObjective
from edgedistill.quantize import student
from edgedistill.quantize.finetune import finetune
from edgedistill.quantize.graph import attribute
from edgedistill.quantize.operators import DEQUANTIZE
from edgedistill.quantize.patterns import Role, role_of
from edgedistill.quantize.spec import BiasType, QuantSpec
from edgedistill.quantize.student import Quantized, Wanted, quantize
from edgedistill.recipe import Finetune, Quantize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from edgedistill.distill.history import History
    from edgedistill.quantize.program import QuantizedProgram


def quantized(
    model: nn.Module,
    wanted: Wanted | None,
    *,
    start: Mapping[str, Tensor] | None = None,
    spec: QuantSpec | None = None,
    **settings: object,
) -> Quantized:
    document = {
        "calibration": {"samples": 32, "max_drift": 9.0},
        "finetune": {"epochs": 1, "batch_size": 32},
        "sensitivity_samples": 32,
        **settings,
    }
    return quantize(
        model,
        noise_set(),
        StudentObjective(model, temperature=2.0),
        spec=spec or QuantSpec(),
        settings=Quantize.model_validate(document),
        seed=0,
        wanted=wanted,
        start=start,
    )


def test_fine_tuning_is_skipped_where_calibration_is_enough_and_the_run_says_so() -> None:
    result = quantized(residual(), Wanted(lambda _: 0.9, floor=0.9))
    assert result.program is result.calibrated
    assert not result.history.points
    assert "fine-tuning was skipped" in result.notes[0]
    assert "90.00%" in result.notes[0]


@pytest.mark.parametrize("wanted", [None, Wanted(lambda _: 0.5, floor=0.9)], ids=["no wanted", "not enough"])
def test_fine_tuning_is_done_where_calibration_is_not_enough(wanted: Wanted | None) -> None:
    result = quantized(residual(), wanted, max_float_layers=0)
    assert result.program is not result.calibrated
    assert len(result.history.points) == 1


def test_fine_tuning_can_be_asked_for() -> None:
    result = quantized(residual(), Wanted(lambda _: 1.0, floor=0.9), finetune={"epochs": 1, "when": "always"})
    assert result.program is not result.calibrated


@pytest.mark.parametrize(("bias", "steps"), [(BiasType.INT32, 3), (BiasType.FP16, 0)])
def test_the_last_steps_learn_from_integers_only_where_the_runtime_has_some(
    bias: BiasType, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watched(*arguments: Any, settings: Finetune, **options: Any) -> History:  # noqa: ANN401 - as finetune's
        seen.append(settings.exact_steps)
        return finetune(*arguments, settings=settings, **options)

    monkeypatch.setattr(student, "finetune", watched)
    quantized(residual(), None, spec=QuantSpec(bias=bias), finetune={"epochs": 1, "batch_size": 32, "exact_steps": 3})
    assert seen == [steps]


def test_another_spec_starts_from_the_weights_of_the_first_and_trains_half_as_long() -> None:
    first = quantized(residual(), None, finetune={"epochs": 2, "batch_size": 32})
    assert first.weights is not None
    later = quantized(residual(), None, start=first.weights, finetune={"epochs": 2, "batch_size": 32})
    assert [len(result.history.points) for result in (first, later)] == [2, 1]
    # with the first one's weights, calibration alone gives the first one's codes
    again = quantized(residual(), None, start=first.weights, finetune={"epochs": 2, "share_of_later": 0})
    assert again.program is again.calibrated
    assert _weight_codes(again.program) == _weight_codes(first.program)
    assert _weight_codes(first.calibrated) != _weight_codes(first.program)


def test_without_fine_tuning_there_are_no_weights_to_start_from() -> None:
    assert quantized(residual(), Wanted(lambda _: 1.0, floor=0.9)).weights is None


def _weight_codes(program: QuantizedProgram) -> dict[str, list[int]]:
    tensors = program.tensors().items()
    return {
        name: item.codes.flatten().tolist()
        for name, item in tensors
        if item.codes is not None and item.codes.dtype == torch.int8
    }


def test_the_layer_that_gains_most_stays_in_float_and_the_cost_is_said() -> None:
    def accuracy(program: QuantizedProgram) -> float:
        return 0.95 if _float_layers(program) else 0.5

    result = quantized(residual(width=8), Wanted(accuracy, floor=0.9), finetune={"epochs": 0})
    most = max(result.sensitivity, key=lambda item: item.others_sqnr_db)
    assert [item.layer for item in result.float_layers] == [most.layer]
    assert (result.float_layers[0].accuracy_before, result.float_layers[0].accuracy_after) == (0.5, 0.95)
    assert _float_layers(result.program) == 1
    assert f"{most.layer} (50.00% to 95.00%)" in result.notes[-1]
    outputs = result.program.run(noise_set().plain(np.arange(8)).inputs)
    assert np.isfinite(outputs).all()


def test_no_more_layers_than_allowed_stay_in_float() -> None:
    result = quantized(residual(), Wanted(_float_share, floor=2.0), finetune={"epochs": 0}, max_float_layers=2)
    assert len({item.node for item in result.float_layers}) == 2
    assert _float_layers(result.program) == 2


def _float_layers(program: QuantizedProgram) -> int:
    weighted = [node for node in program.graph.graph.nodes if role_of(node) is Role.WEIGHTED]
    return sum(
        node.args[1].target is not DEQUANTIZE and attribute(program.graph, node.args[1]).numel() > 0
        for node in weighted
    )


def _float_share(program: QuantizedProgram) -> float:
    return 0.1 * _float_layers(program)
