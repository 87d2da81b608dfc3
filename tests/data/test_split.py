"""The split that is made where a source has none."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.data.split import test_members as members_for_test


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200))
def test_a_fifth_of_each_class_is_for_testing(labels: list[int]) -> None:
    values = np.array(labels)
    chosen = members_for_test(values, [f"{index}.png" for index in range(len(labels))])
    for label in set(labels):
        count = labels.count(label)
        expected = max(1, round(count / 5)) if count > 1 else 0
        assert chosen[values == label].sum() == expected


def test_which_ones_depends_on_the_names_alone() -> None:
    labels = np.arange(100) % 3
    names = [f"{index}.png" for index in range(100)]
    order = np.random.default_rng(0).permutation(100)
    chosen = members_for_test(labels, names)
    assert (members_for_test(labels[order], [names[index] for index in order]) == chosen[order]).all()
    assert (members_for_test(labels, [f"x{name}" for name in names]) != chosen).any()
