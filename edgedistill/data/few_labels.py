"""Few labels: a student that may see some of the labels, while the teacher answers for every sample."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.masks import strata
from edgedistill.data.transfer_set import UNKNOWN, part_of
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import Samples


def labelled_members(labels: NDArray[np.int64], *, share: float, seed: int) -> NDArray[np.int64]:
    """Return which samples keep their label: the same share of each class, at least one of each.

    Args:
        labels: (n,), or masks (n, height, width), int64, 0 or greater, or UNKNOWN: those keep nothing.
        share: above 0, to 1.
        seed: of the choice, 0 or greater. A larger share keeps what a smaller one kept.

    Returns:
        (kept,), int64, ascending.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    labels = strata(labels)
    kept = [
        members[: max(1, round(share * len(members)))]
        for label in np.unique(labels[labels != UNKNOWN])
        for members in [order[labels[order] == label]]
    ]
    return np.sort(np.concatenate(kept)) if kept else np.empty(0, np.int64)


def with_few_labels(samples: Samples, *, share: float, seed: int) -> Samples:
    """Return the same samples, with the labels beyond a share unknown; their fingerprint stays.

    Args:
        samples: they are left as they are; of masks, whole ones are unknown.
        share: 0 to 1; 0 knows no label.
        seed: as in `labelled_members`.
    """
    labels = np.full_like(samples.labels, UNKNOWN)
    if share:
        kept = labelled_members(strata(samples.labels), share=share, seed=seed)
        labels[kept] = samples.labels[kept]
    return replace(samples, labels=labels)


def labelled_alone(samples: Samples) -> Samples:
    """Return as many samples as there are, but those with a label only, over and over: for a student that learns alone.

    A repeated sample is varied anew, so that as many steps show as many views as of the whole.

    Raises:
        DataError: no sample has a label.
    """
    known = np.flatnonzero(strata(samples.labels) != UNKNOWN)
    if not len(known):
        raise DataError(
            "the student that learns alone",
            found="no training sample has a label",
            wanted="some",
            fix="raise 'data.labelled', or set 'distill.baseline: false'",
        )
    if len(known) == len(samples):
        return samples
    return part_of(samples, np.resize(known, len(samples)), name="labelled")
