from __future__ import annotations

import pytest

from edgedistill.distill.parallel.group import ALONE, Group
from edgedistill.distill.student import _refuse_unbalanced
from edgedistill.errors import RecipeError
from edgedistill.recipe import Balance, Distill


def test_losses_are_not_balanced_by_a_part_of_the_gradient() -> None:
    settings = Distill(balance=Balance.GRADIENT_NORM)
    with pytest.raises(RecipeError, match=r"'distill\.balance': 'gradient-norm' with 2 processes"):
        _refuse_unbalanced(settings, Group(rank=0, count=2))
    _refuse_unbalanced(settings, ALONE)
    _refuse_unbalanced(Distill(), Group(rank=0, count=2))
