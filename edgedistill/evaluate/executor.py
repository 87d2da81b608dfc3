"""An executor runs one form of a model, and says what it is: hardware, host, emulation, interpretation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Inputs = NDArray[np.float32] | NDArray[np.int32]


class Execution(StrEnum):
    """What stands behind a result. Every result carries one."""

    DEVICE = "device"  # ran on the deployment hardware
    HOST = "host"  # ran on this workstation, in the runtime that the device uses
    EMULATED = "emulated"  # ran in the device's runtime, on an emulated CPU
    INTERPRETED = "interpreted"  # computed by our reading of the saved file
    SIMULATED = "simulated"  # computed by the torch program the artifact was made from
    PARSED = "parsed"  # only read and checked, not run
    NOT_RUN = "not-run"  # could not be run here; never counts as a pass


class Executor(Protocol):
    """One way of running a model on inputs: float32, or int32 token numbers."""

    @property
    def name(self) -> str:
        """Short name, unique in one artifact: "onnxruntime-x86_64"."""

    @property
    def label(self) -> str:
        """One line for people: runtime, version, options, machine."""

    @property
    def execution(self) -> Execution:
        """What stands behind the result."""

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return outputs (n, classes), float32, of preprocessed inputs (n, *input_shape)."""


@dataclass(frozen=True)
class Limits:
    """How far the outputs of an executor may be from those of the one before it.

    Args:
        max_steps: output steps within which two values count as equal.
        min_within_steps: least share of outputs within `max_steps`.
        min_top1_agreement: least share of samples with the same class.
    """

    max_steps: float
    min_within_steps: float
    min_top1_agreement: float

    def widened(self, other: Limits) -> Limits:
        """Return limits that whatever keeps either of the two keeps."""
        return Limits(
            max(self.max_steps, other.max_steps),
            min(self.min_within_steps, other.min_within_steps),
            min(self.min_top1_agreement, other.min_top1_agreement),
        )


@runtime_checkable
class StatesLimits(Protocol):
    """An executor whose arithmetic is another than the program's (fp16), and which says how far that may lead."""

    @property
    def limits(self) -> Limits:
        """Used where they are wider than the recipe's."""
