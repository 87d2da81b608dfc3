from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.distill.read_ahead import ReadAhead

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.distill.conftest import NoiseSet


class Rows:
    """Stands for the teacher's outputs: notes what is read ahead."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], int]] = []

    def read_ahead(self, indices: np.ndarray, view: int) -> None:
        self.asked.append((np.asarray(indices).tolist(), view))


def test_it_is_the_other_set_and_reads_rows_with_each_batch(noise_set: Callable[..., NoiseSet]) -> None:
    inner, rows = noise_set(9, view_count=2), Rows()
    ahead = ReadAhead(inner, rows)
    assert (len(ahead), ahead.view_count, ahead.fingerprint) == (9, 2, inner.fingerprint)
    assert ahead.samples is inner.samples
    assert ahead.preprocessing is inner.preprocessing
    assert np.array_equal(ahead.batch([4, 1], view=1).inputs, inner.batch([4, 1], view=1).inputs)
    assert rows.asked == [([4, 1], 1)]
    assert np.array_equal(ahead.plain([3]).inputs, inner.plain([3]).inputs)
    assert len(rows.asked) == 1
