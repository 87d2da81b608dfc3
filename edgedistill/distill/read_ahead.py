"""Batches that bring the teacher's rows along: both are read while the model computes on the batch before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.distill.prefetch import workers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.data.preprocessing import Preprocessing
    from edgedistill.data.transfer_set import Batch, Samples, TransferSet
    from edgedistill.distill.teacher_cache import SoftTargets


class ReadAhead:
    """A transfer set that lets a teacher's outputs be read in the thread that makes its batches.

    Implements `TransferSet`, with the samples, views and fingerprint of the one it stands for.

    Args:
        transfer_set: the one that the teacher has labelled.
        soft_targets: the teacher's outputs on it.
    """

    def __init__(self, transfer_set: TransferSet, soft_targets: SoftTargets) -> None:
        self.samples: Samples = transfer_set.samples
        self.preprocessing: Preprocessing = transfer_set.preprocessing
        self.workers = workers_of(transfer_set)
        self._transfer_set, self._soft_targets = transfer_set, soft_targets

    @property
    def fingerprint(self) -> str:
        """As the other's."""
        return self._transfer_set.fingerprint

    @property
    def view_count(self) -> int:
        """As the other's."""
        return self._transfer_set.view_count

    def __len__(self) -> int:
        return len(self._transfer_set)

    def batch(self, indices: Sequence[int] | NDArray[np.int64], *, view: int) -> Batch:
        """Return view `view` of some samples, and read their rows of the teacher's outputs."""
        self._soft_targets.read_ahead(indices, view)
        return self._transfer_set.batch(indices, view=view)

    def plain(self, indices: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return samples preprocessed and not varied."""
        return self._transfer_set.plain(indices)
