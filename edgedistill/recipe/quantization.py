"""From the fp32 student to a quantized program."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from edgedistill.recipe.learning import Training
from edgedistill.recipe.section import Section, Share


class RangeMethod(StrEnum):
    """How an activation's range is chosen from its histogram."""

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"
    MSE = "mse"
    ENTROPY = "entropy"


class CalibrationSource(StrEnum):
    """Which samples ranges are taken from."""

    TRANSFER_SET = "transfer-set"
    INVERTED = "inverted"


class Calibration(Section):
    """Where quantization starts."""

    source: CalibrationSource = CalibrationSource.TRANSFER_SET
    """`transfer-set`, or `inverted`: samples made from the teacher as `data.inversion` says."""
    samples: int = Field(default=512, ge=1, le=1_000_000)
    """Samples, stratified by class, without augmentation."""
    method: RangeMethod = RangeMethod.MSE
    """How a range is chosen from the histogram."""
    percentile: float = Field(default=99.99, gt=50, le=100)
    """Percentile of the absolute value that `method: percentile` keeps."""
    max_drift: float = Field(default=0.5, gt=0, le=100)
    """Largest relative difference of the ranges of the two halves of the samples before the run stops."""


class FinetuneWhen(StrEnum):
    """Whether fine-tuning is worth its time."""

    NEEDED = "needed"
    ALWAYS = "always"


class Guide(StrEnum):
    """Whose soft targets fine-tuning learns from."""

    TEACHER = "teacher"
    STUDENT = "student"


class Scales(StrEnum):
    """Where activation and weight scales come from during fine-tuning."""

    CALIBRATED = "calibrated"
    LEARNED = "learned"


class Finetune(Training):
    """Training with fake quantization."""

    when: FinetuneWhen = FinetuneWhen.NEEDED
    """`needed` skips it where calibration alone keeps `max_accuracy_drop`; `always` does not ask."""
    guide: Guide = Guide.TEACHER
    """Learn from the teacher's soft targets, or from those of the fp32 student."""
    scales: Scales = Scales.CALIBRATED
    """`calibrated` takes the ranges anew a few times; `learned` trains the scales (LSQ, arXiv:1902.08153)."""
    scale_learning_rate: float = Field(default=0.01, gt=0, le=10)
    """Highest learning rate of learned scales."""
    dampening: float = Field(default=0.0, ge=0, le=1000)
    """Weight that keeps depthwise weights from oscillating between two codes (arXiv:2203.11086); 0 means none."""

    epochs: float = Field(default=2, ge=0, le=100_000)
    """Passes over the transfer set; 0 means calibration only."""
    share_of_later: Share = 0.5
    """Share of `epochs` for each further way of quantizing: targets that want the same numbers share one fine-tuning,
    and the others start from the weights of the first."""
    learning_rate: float = Field(default=0.01, gt=0, le=10)
    """Highest learning rate; a tenth of the student's is a good start."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """Weight decay."""
    freeze_ranges_after: Share = 0.5
    """Share of the steps after which the scales stay as they are."""
    exact_steps: int = Field(default=0, ge=0, le=1_000_000)
    """Last steps, of those with frozen scales, whose outputs are what the device's integers give; each takes longer.
    For targets that compute in float between codes (Jetson, phones) there are none."""


class Quantize(Section):
    """From the fp32 student to a quantized program."""

    calibration: Calibration = Calibration()
    """Where quantization starts."""
    finetune: Finetune = Finetune()
    """Training with fake quantization."""
    sensitivity_samples: int = Field(default=128, ge=0, le=100_000)
    """Calibration samples on which each layer's effect on the outputs is measured; 0 measures none."""
    max_float_layers: int = Field(default=3, ge=0, le=1000)
    """Most layers that may stay in float where the program would lose more than `max_accuracy_drop`."""
    max_accuracy_drop: Share = 0.003
    """Largest loss of accuracy against the fp32 student, as a share (0.003 is 0.3 points); a gate."""
