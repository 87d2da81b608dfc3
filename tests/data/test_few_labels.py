from __future__ import annotations

import numpy as np
import pytest

from edgedistill.data.few_labels import labelled_alone, labelled_members, with_few_labels
from edgedistill.data.transfer_set import UNKNOWN, Samples
from edgedistill.errors import DataError


def some_samples(counts: tuple[int, ...] = (100, 50, 3)) -> Samples:
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    raw = np.arange(len(labels), dtype=np.float32)[:, None]
    return Samples(raw=raw, labels=labels, classes=tuple("abcdefgh"[: len(counts)]), fingerprint="f")


def test_each_class_keeps_the_same_share_and_at_least_one() -> None:
    samples = some_samples()
    kept = labelled_members(samples.labels, share=0.1, seed=3)
    assert np.bincount(samples.labels[kept]).tolist() == [10, 5, 1]
    assert (np.diff(kept) > 0).all()


def test_a_larger_share_keeps_what_a_smaller_one_kept() -> None:
    labels = some_samples().labels
    few, more = (set(labelled_members(labels, share=share, seed=3)) for share in (0.1, 0.4))
    assert few < more


def test_another_seed_keeps_others() -> None:
    labels = some_samples().labels
    assert set(labelled_members(labels, share=0.1, seed=0)) != set(labelled_members(labels, share=0.1, seed=1))


def test_samples_without_a_label_keep_none() -> None:
    labels = np.array([UNKNOWN, 0, UNKNOWN, 1, 0])
    assert labelled_members(labels, share=1, seed=0).tolist() == [1, 3, 4]


def test_labels_beyond_the_share_are_unknown_and_the_rest_is_as_it_was() -> None:
    samples = some_samples()
    few = with_few_labels(samples, share=0.1, seed=3)
    known = few.labels != UNKNOWN
    assert known.sum() == 16
    assert (few.labels[known] == samples.labels[known]).all()
    assert few.raw is samples.raw
    assert few.fingerprint == samples.fingerprint


def test_share_zero_knows_no_label() -> None:
    assert (with_few_labels(some_samples(), share=0, seed=3).labels == UNKNOWN).all()


def test_alone_sees_the_labelled_ones_as_often_as_the_whole_is_long() -> None:
    few = with_few_labels(some_samples(), share=0.1, seed=3)
    alone = labelled_alone(few)
    known = np.flatnonzero(few.labels != UNKNOWN)
    assert len(alone) == len(few)
    values, counts = np.unique(alone.raw[:, 0], return_counts=True)
    assert values.tolist() == known.tolist()
    assert counts.max() - counts.min() <= 1
    assert (alone.labels == few.labels[alone.raw[:, 0].astype(int)]).all()
    assert alone.fingerprint != few.fingerprint


def test_alone_sees_everything_where_everything_has_a_label() -> None:
    samples = some_samples()
    assert labelled_alone(samples) is samples


def test_alone_without_any_label_is_refused() -> None:
    with pytest.raises(DataError, match="no training sample has a label"):
        labelled_alone(with_few_labels(some_samples(), share=0, seed=0))


def test_masks_keep_or_lose_their_label_whole() -> None:
    masks = np.repeat(np.arange(20) % 2, 9).reshape(20, 3, 3)
    raw = np.arange(20, dtype=np.uint8)[:, None, None, None].repeat(3, 1).repeat(3, 2)
    few = with_few_labels(Samples(raw=raw, labels=masks, classes=("a", "b"), fingerprint="f"), share=0.2, seed=1)
    known = (few.labels != UNKNOWN).reshape(20, -1)
    assert (known.all(1) == known.any(1)).all()
    assert known.any(1).sum() == 4
    alone = labelled_alone(few)
    assert len(alone) == 20
    assert (alone.labels == masks[alone.raw[:, 0, 0, 0].astype(int)]).all()
