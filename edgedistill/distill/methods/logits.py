"""Methods that learn from the outputs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from edgedistill.distill.methods.base import Kind, Method, Options

if TYPE_CHECKING:
    from torch import Tensor

    from edgedistill.distill.methods.base import Probed, Term, TermInputs


Temperature = Annotated[float, Field(gt=0, le=100)]


class DkdOptions(Options):
    """Options of `dkd`."""

    alpha: float = Field(default=1.0, ge=0, le=1000)
    """Weight of the target class against all others (TCKD)."""
    beta: float = Field(default=8.0, ge=0, le=1000)
    """Weight of the distribution among the others (NCKD)."""
    temperature: Temperature = 4.0
    """Temperature of both distributions."""


def _dkd(_probed: Probed, options: DkdOptions) -> Term:
    from edgedistill.distill.losses.decoupled import decoupled_loss

    def term(inputs: TermInputs) -> Tensor:
        return decoupled_loss(
            inputs.student_logits,
            inputs.teacher_logits,
            inputs.targets,
            alpha=options.alpha,
            beta=options.beta,
            temperature=options.temperature,
        )

    return term


DKD = Method(
    name="dkd",
    title="decoupled soft targets: the sample's class and the others apart",
    source="Zhao et al. 2022, arXiv:2203.08679, equation 7",
    kind=Kind.LOGITS,
    weight=1.0,
    beside="labels 1, soft targets 0",
    options=DkdOptions,
    build=_dkd,
)


class DistOptions(Options):
    """Options of `dist`."""

    beta: float = Field(default=1.0, ge=0, le=1000)
    """Weight of the correlation among the classes of a sample."""
    gamma: float = Field(default=1.0, ge=0, le=1000)
    """Weight of the correlation among the samples of a batch in a class."""
    temperature: Temperature = 1.0
    """Temperature of both distributions."""


def _dist(_probed: Probed, options: DistOptions) -> Term:
    from edgedistill.distill.losses.correlation import correlation_loss

    def term(inputs: TermInputs) -> Tensor:
        return correlation_loss(
            inputs.student_logits,
            inputs.teacher_logits,
            beta=options.beta,
            gamma=options.gamma,
            temperature=options.temperature,
        )

    return term


DIST = Method(
    name="dist",
    title="Pearson correlation of the distributions, by sample and by class",
    source="Huang et al. 2022, arXiv:2205.10536, section 4",
    kind=Kind.LOGITS,
    weight=1.0,
    beside="labels 1, soft targets 0",
    options=DistOptions,
    build=_dist,
)


class NkdOptions(Options):
    """Options of `nkd`."""

    gamma: float = Field(default=1.5, ge=0, le=1000)
    """Weight of the distribution among the other classes."""
    temperature: Temperature = 1.0
    """Temperature of the other classes."""


def _nkd(_probed: Probed, options: NkdOptions) -> Term:
    from edgedistill.distill.losses.decoupled import normalized_loss

    def term(inputs: TermInputs) -> Tensor:
        return normalized_loss(
            inputs.student_logits,
            inputs.teacher_logits,
            inputs.targets,
            gamma=options.gamma,
            temperature=options.temperature,
        )

    return term


NKD = Method(
    name="nkd",
    title="the other classes' soft targets, normalised to sum to 1 in both",
    source="Yang et al. 2023, arXiv:2303.13005, section 3.2",
    kind=Kind.LOGITS,
    weight=1.0,
    beside="labels 1, soft targets 0",
    options=NkdOptions,
    build=_nkd,
)


class WttmOptions(Options):
    """Options of `wttm`."""

    power: float = Field(default=0.2, gt=0, le=1)
    """Power that the teacher's probabilities are raised to: 1 / T. The paper has 0.1 to 0.2."""


def _wttm(_probed: Probed, options: WttmOptions) -> Term:
    from edgedistill.distill.losses.soft_targets import transformed_teacher_loss

    def term(inputs: TermInputs) -> Tensor:
        return transformed_teacher_loss(inputs.student_logits, inputs.teacher_logits, power=options.power)

    return term


WTTM = Method(
    name="wttm",
    title="the teacher's probabilities to a power, each sample weighted by how unsure it is",
    source="Zheng and Yang 2024, arXiv:2402.11148, section 4; it tunes the weight for each pair",
    kind=Kind.LOGITS,
    weight=1.0,
    beside="labels 1, soft targets 0",
    options=WttmOptions,
    build=_wttm,
)


class MultiTemperatureOptions(Options):
    """Options of `multi-temperature`."""

    temperatures: tuple[Temperature, ...] = Field(default=(2.0, 3.0, 4.0, 5.0, 6.0), min_length=1, max_length=100)
    """Temperatures of both distributions."""


def _multi_temperature(_probed: Probed, options: MultiTemperatureOptions) -> Term:
    from edgedistill.distill.losses.soft_targets import multi_temperature_loss

    def term(inputs: TermInputs) -> Tensor:
        return multi_temperature_loss(inputs.student_logits, inputs.teacher_logits, temperatures=options.temperatures)

    return term


MULTI_TEMPERATURE = Method(
    name="multi-temperature",
    title="soft targets at several temperatures",
    source="Jin et al. 2023, Multi-level Logit Distillation (CVPR), section 3.2: its instance level",
    kind=Kind.LOGITS,
    weight=1.0,
    beside="labels 0.1, soft targets 0",
    options=MultiTemperatureOptions,
    build=_multi_temperature,
)
