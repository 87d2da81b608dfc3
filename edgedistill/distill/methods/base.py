"""The contract of a method: its description, what it is told before training, and what its term sees in each step."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from edgedistill.recipe import Section, section_from_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from edgedistill.distill.history import StepInfo

Shape = tuple[int, ...]


class Kind(StrEnum):
    """What a method learns from."""

    LOGITS = "logits"
    """The outputs alone: it has no layers."""
    FEATURES = "features"
    """Outputs of layers: a recipe may name them, as `teacher` and `student`."""


class Pairing(StrEnum):
    """Which layers a method of features learns from where a recipe names none."""

    STAGES = "stages"
    """The last layer of each resolution that both have; of Transformers, evenly spaced layers."""
    LAST_STAGE = "last stage"
    """The last of those."""
    PENULTIMATE = "penultimate"
    """What goes into the last linear layer."""
    LAST_ATTENTION = "last attention"
    """Queries, keys and values of the last attention, in this order."""
    ATTENTIONS = "attentions"
    """Queries and keys of evenly spaced attentions: queries of the first, keys of the first, queries of the second."""


class Options(Section):
    """What a method can be told: a field each, with a default, a range and a docstring."""


OptionsT = TypeVar("OptionsT", bound=Options)


@dataclass(frozen=True)
class LayerPair:
    """A layer of the teacher and the student's that learns from it, by dotted path."""

    teacher: str
    student: str


class TeacherAccess(Protocol):
    """What some methods ask of the teacher besides its outputs, before training; each is worked out when asked for."""

    def class_means(self, layer: str) -> Tensor:
        """Return the mean of a layer's features of each class's samples: (classes, width), float32.

        Maps and tokens are averaged over their positions. A sample whose class is not known counts for the class that
        the teacher finds most likely; a class without samples has zeros.

        Args:
            layer: dotted path of one of the teacher's layers that this method learns from.
        """

    def classes_of_samples(self) -> Tensor:
        """Return the class of every sample of the transfer set, (samples,), int64.

        A sample whose class is not known counts for the class that the teacher finds most likely.
        """

    def module(self) -> nn.Module:
        """Return the teacher itself, in evaluation mode: for methods that use its weights.

        Raises:
            ModelError: only its outputs are at hand.
        """


@dataclass(frozen=True)
class Probed:
    """What is known before training, when a method builds its term.

    Args:
        classes: number of logits.
        samples: size of the transfer set; indices go from 0 to samples - 1.
        pairs: the layers that the method learns from; none for `Kind.LOGITS`.
        student_shapes: of the student's features, without the batch, in the order of the pairs.
        teacher_shapes: of the teacher's features, without the batch, in the order of the pairs.
        teacher: what else can be asked of the teacher.
    """

    classes: int
    samples: int
    pairs: tuple[LayerPair, ...]
    student_shapes: tuple[Shape, ...]
    teacher_shapes: tuple[Shape, ...]
    teacher: TeacherAccess


@dataclass(frozen=True)
class TermInputs:
    """What a term sees of one step.

    Args:
        student_logits: (batch, classes), floating point, not normalised; with a gradient.
        teacher_logits: (batch, classes), float32, of the same samples in the same view.
        student_features: of each pair, in their order: (batch, ...), with a gradient.
        teacher_features: of each pair, in their order: (batch, ...), float32.
        labels: (batch,), int64; UNKNOWN (-1) where the class is not known.
        mixed_labels: (batch,), int64: the label of the sample mixed in; the sample's own without mixup.
        mix: (batch,), float32, 0 to 1: share of the sample mixed in, 0 without mixup.
        indices: (batch,), int64: which samples of the transfer set they are.
        step: which step it is, of how many, and the view that the samples are shown in.
    """

    student_logits: Tensor
    teacher_logits: Tensor
    student_features: tuple[Tensor, ...]
    teacher_features: tuple[Tensor, ...]
    labels: Tensor
    mixed_labels: Tensor
    mix: Tensor
    indices: Tensor
    step: StepInfo

    @property
    def targets(self) -> Tensor:
        """One class for each sample, (batch,), int64: its label, or the teacher's best where that is unknown or mixed.

        For methods that set one class apart; those that can take shares of two take `labels`, `mixed_labels` and
        `mix`.
        """
        certain = (self.labels >= 0) & ((self.mix == 0) | (self.labels == self.mixed_labels))
        return self.labels.where(certain, self.teacher_logits.argmax(1))


class Term(Protocol):
    """One part of the loss: a function, or an `nn.Module` whose weights are trained and checkpointed too."""

    def __call__(self, inputs: TermInputs, /) -> Tensor:
        """Return a scalar with a gradient, not yet weighted; the mean over the batch."""


@dataclass(frozen=True)
class Method(Generic[OptionsT]):
    """A method that a recipe can name. Its module loads torch only inside `build`.

    Args:
        name: as a recipe says it, such as "dkd".
        title: in a few words: "decoupled soft targets".
        source: paper, arXiv id and section or equation.
        kind: what it learns from.
        weight: of the loss, the paper's.
        beside: what the paper trains it beside: "labels 1", "labels 0.1, soft targets 0.9".
        options: class of its options.
        build: returns the term, from what is known before training and the options. What is random in it comes
            from torch's global generator, which is seeded by then.
        pairing: the layers that it learns from where a recipe names none; of a method of features.
        reuses_head: whether the student is given the teacher's last layer, before training and for good.
        same_tokens: whether it compares tokens one by one, so that teacher and student must see as many of each text.
    """

    name: str
    title: str
    source: str
    kind: Kind
    weight: float
    beside: str
    options: type[OptionsT]
    build: Callable[[Probed, OptionsT], Term]
    pairing: Pairing = Pairing.STAGES
    reuses_head: bool = False
    same_tokens: bool = False

    def checked(self, options: Mapping[str, object]) -> OptionsT:
        """Return the options of a recipe, with defaults for those it leaves out.

        Raises:
            RecipeError: an unknown option (with the nearest valid one), or a value out of range.
        """
        return section_from_mapping(self.options, options, thing=f"options of loss '{self.name}'")
