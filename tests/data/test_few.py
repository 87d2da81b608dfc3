from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.data.few import at_most_per_class, chosen_per_class
from edgedistill.data.transfer_set import Samples

LABELS = np.array([0, 1, 1, 2, 1, 0, 2, 1, -1, -1])


def samples() -> Samples:
    raw = np.arange(10, dtype=np.float32)[:, None]
    return Samples(raw, LABELS, ("a", "b", "c"), "f", answers=np.tile(raw, (1, 3)))


@given(most=st.integers(1, 6), seed=st.integers(0, 50))
def test_as_many_of_each_class_as_there_are_at_most(most: int, seed: int) -> None:
    chosen = chosen_per_class(LABELS, most, seed=seed)
    assert list(chosen) == sorted(set(chosen))
    for label in (-1, 0, 1, 2):
        assert (LABELS[chosen] == label).sum() == min(most, (label == LABELS).sum())
    assert set(chosen) <= set(chosen_per_class(LABELS, most + 1, seed=seed))


def test_everything_of_a_sample_goes_with_it() -> None:
    part = at_most_per_class(samples(), 1, seed=3)
    chosen = part.raw[:, 0].astype(int)
    assert part.labels.tolist() == LABELS[chosen].tolist()
    assert part.answers is not None
    assert part.answers[:, 2].tolist() == part.raw[:, 0].tolist()


def test_the_choice_is_part_of_the_fingerprint() -> None:
    labels = np.arange(300) % 3
    whole = Samples(np.zeros((300, 1), np.float32), labels, ("a", "b", "c"), "f")
    found = {at_most_per_class(whole, most, seed=seed).fingerprint for most, seed in ((1, 0), (2, 0), (1, 1))}
    assert len(found | {whole.fingerprint}) == 4
    assert at_most_per_class(whole, 100, seed=0) is whole
