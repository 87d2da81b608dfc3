"""Inverts a teacher: optimises inputs until its BatchNorm layers see what they saw of the training data.

Source: Yin et al. 2020, "Dreaming to Distill", arXiv:1912.08795, section 3.2: DeepInversion, without the competition
with a student (section 3.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from edgedistill.distill.batch_norms import norm_inputs
from edgedistill.distill.features import checked_logits
from edgedistill.distill.losses.inversion import MAP_AXES, squared_norm, statistics_loss, total_variation
from edgedistill.distill.modes import evaluating
from edgedistill.distill.synthesis_files import Inverted
from edgedistill.errors import ModelError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing
    from edgedistill.recipe import Inversion

    Raw = NDArray[np.uint8] | NDArray[np.float32]

BRIGHTEST = 255
FEW_SAMPLES = (
    "use 10 to 50 real samples of each class instead, without their labels: 'data.source' of your own, "
    "'data.views: {mixup: 1.0}', 'distill.label_weight: 0' (examples/few_samples.yaml)"
)
"""What to do where a teacher cannot be inverted."""


class InputSpace(Protocol):
    """Where inputs are optimised, and how they become a teacher's inputs and raw samples."""

    def start(self, count: int, generator: torch.Generator) -> Tensor:
        """Return noise (count, *input_shape) to begin with."""

    def inputs(self, values: Tensor) -> Tensor:
        """Return the teacher's inputs, with a gradient."""

    def kept_inside(self, values: Tensor) -> Tensor:
        """Return values that a raw sample can have."""

    def raw(self, values: Tensor) -> Raw:
        """Return raw samples (count, *raw_shape), as a data source gives them."""


@dataclass(frozen=True)
class PixelSpace:
    """Images, optimised as pixels from 0 to 1, so that what is found is an image that a camera could give.

    Args:
        preprocessing: from pixel to input.
    """

    preprocessing: ImagePreprocessing

    def start(self, count: int, generator: torch.Generator) -> Tensor:
        """Return evenly distributed noise."""
        return torch.rand(count, *self.preprocessing.input_shape, generator=generator)

    def inputs(self, values: Tensor) -> Tensor:
        """Return `(pixel * scale - mean) / std`."""
        scale = BRIGHTEST * self.preprocessing.scale
        return (values * scale - _channels(self.preprocessing.mean)) / _channels(self.preprocessing.std)

    def kept_inside(self, values: Tensor) -> Tensor:
        """Return values from 0 to 1."""
        return values.clamp(0, 1)

    def raw(self, values: Tensor) -> Raw:
        """Return (count, height, width, channels), uint8."""
        return (values * BRIGHTEST).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


@dataclass(frozen=True)
class ArraySpace:
    """Arrays, optimised as the teacher sees them: normalised.

    Args:
        preprocessing: from raw sample to input.
    """

    preprocessing: ArrayPreprocessing

    def start(self, count: int, generator: torch.Generator) -> Tensor:
        """Return normally distributed noise."""
        return torch.randn(count, *self.preprocessing.shape, generator=generator)

    def inputs(self, values: Tensor) -> Tensor:
        """Return the values themselves."""
        return values

    def kept_inside(self, values: Tensor) -> Tensor:
        """Return the values: an array has no bounds."""
        return values

    def raw(self, values: Tensor) -> Raw:
        """Return (count, *shape), float32: the normalisation undone."""
        mean, std = torch.tensor(self.preprocessing.mean), torch.tensor(self.preprocessing.std)
        return ((values * std + mean) / self.preprocessing.scale).numpy()


def space_of(preprocessing: ImagePreprocessing | ArrayPreprocessing) -> InputSpace:
    """Return where samples of a preprocessing are optimised."""
    return PixelSpace(preprocessing) if preprocessing.kind == "image" else ArraySpace(preprocessing)


def require_batch_norm(teacher: nn.Module, inputs: Tensor, *, source: str) -> None:
    """Raise where a teacher has no BatchNorm layer whose statistics could guide an inversion.

    Args:
        teacher: in any mode; it is left in the same.
        inputs: (batch, *input_shape), any values, batch at least 2.
        source: the teacher, as the recipe has it.

    Raises:
        UnsupportedError: it has none; names what it normalises with.
    """
    with torch.no_grad(), evaluating(teacher):
        _, norms = norm_inputs(teacher, inputs)
    if norms:
        return
    others = sorted({name for name in (type(part).__name__ for part in teacher.modules()) if "Norm" in name})
    found = f"it normalises by {', '.join(others)}" if others else "it has no normalisation, or one that was folded"
    raise UnsupportedError(
        f"teacher '{source}'",
        found=f"{found}: no BatchNorm layer has kept statistics of its training data",
        wanted="a teacher with BatchNorm layers, as it was trained",
        fix=FEW_SAMPLES,
    )


def inverted_batch(
    teacher: nn.Module,
    space: InputSpace,
    labels: NDArray[np.int64],
    *,
    settings: Inversion,
    seed: int,
    on_step: Callable[[str], None] = lambda _: None,
) -> Inverted:
    """Return samples that a teacher takes for some classes and for its training data.

    Adam on the inputs under a cosine schedule. Each step sees the batch rolled by up to `jitter` pixels.

    Args:
        teacher: maps (batch, *input_shape), float32, to logits; left as it was.
        space: where the inputs are optimised.
        labels: (batch,), the class wanted of each; BatchNorm statistics are taken over all of them.
        settings: steps and weights.
        seed: of the noise and the rolling.
        on_step: told after each step where it is.

    Raises:
        ModelError: the loss is not finite.
    """
    generator = torch.Generator().manual_seed(seed)
    values = space.start(len(labels), generator).requires_grad_()
    wanted = torch.from_numpy(labels)
    optimizer = torch.optim.Adam([values], lr=settings.learning_rate)
    gaps: list[float] = []
    with evaluating(teacher):
        for step in range(settings.steps):
            rate = settings.learning_rate * (1 + math.cos(math.pi * step / settings.steps)) / 2
            optimizer.param_groups[0]["lr"] = rate
            inputs = space.inputs(_rolled(values, settings.jitter, generator))
            loss, gap, note = _loss(teacher, inputs, wanted, settings)
            (values.grad,) = torch.autograd.grad(loss, [values])
            optimizer.step()
            with torch.no_grad():
                values.copy_(space.kept_inside(values))
            gaps.append(gap)
            on_step(note)
    return Inverted(space.raw(values.detach()), labels, gaps[0], gaps[-1])


def _loss(teacher: nn.Module, inputs: Tensor, labels: Tensor, settings: Inversion) -> tuple[Tensor, float, str]:
    """Return the loss, the statistics loss per layer, and both in words."""
    outputs, norms = norm_inputs(teacher, inputs)
    logits = checked_logits(outputs, batch=len(inputs), role="teacher")
    classes = functional.cross_entropy(logits, labels)
    gaps = torch.stack([statistics_loss(norm.features, norm.running_mean, norm.running_var) for norm in norms])
    loss = classes + settings.statistics_weight * gaps.sum() + settings.norm_weight * squared_norm(inputs)
    if settings.variation_weight and inputs.ndim == MAP_AXES:
        loss = loss + settings.variation_weight * total_variation(inputs)
    if not math.isfinite(float(loss.detach())):
        raise ModelError(
            "inversion",
            found=f"the loss is {float(loss.detach())}",
            wanted="a finite loss",
            fix="lower 'data.inversion.learning_rate', and check the teacher's weights",
        )
    gap = float(gaps.detach().mean())
    return loss, gap, f"class loss {float(classes.detach()):.2f} · statistics {gap:.2f} per layer"


def _rolled(values: Tensor, jitter: int, generator: torch.Generator) -> Tensor:
    """Return images rolled by up to some pixels, all alike; other shapes as they are."""
    if not jitter or values.ndim != MAP_AXES:
        return values
    down, right = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
    return values.roll((down, right), (2, 3))


def _channels(numbers: tuple[float, ...]) -> Tensor:
    return torch.tensor(numbers).reshape(-1, 1, 1)
