"""Two executors are compared by what the task's outputs answer, wherever they ran."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedistill.evaluate.executor import Execution, Limits
from edgedistill.evaluate.judges import ClassJudge, EmbeddingJudge
from edgedistill.recipe import Verify
from edgedistill.run.steps.parity_record import parity_record

if TYPE_CHECKING:
    from edgedistill.evaluate.judges import Judge

REFERENCE = np.array([[1.0, 0.99], [0.98, 1.0], [-1.0, 0.5], [-0.9, 0.5]], np.float32)
OTHER = np.array([[0.99, 1.0], [0.98, 1.0], [-1.0, 0.5], [-0.9, 0.5]], np.float32)
"""The first embedding's larger number is another one; its nearest neighbour is the same."""


@dataclass
class Board:
    name: str = "board"
    label: str = "a board"
    execution: Execution = Execution.DEVICE


@dataclass
class Loose(Board):
    limits: Limits = field(default_factory=lambda: Limits(100.0, 0.5, 0.5))


def compared(judge: Judge, executor: Board, verify: Verify | None = None) -> object:
    context = SimpleNamespace(judge=judge, recipe=SimpleNamespace(verify=verify or Verify()))
    return parity_record(
        context, target="t/p", before=Board("program"), reference=REFERENCE, executor=executor, outputs=OTHER
    )


@pytest.mark.parametrize(
    ("judge", "agreement"), [(EmbeddingJudge(REFERENCE), 1.0), (ClassJudge(np.zeros(4, np.int64), "accuracy"), 0.75)]
)
def test_embeddings_agree_by_their_neighbours_and_classes_by_their_largest(judge: Judge, agreement: float) -> None:
    assert compared(judge, Board()).top1_agreement == agreement


def test_an_executors_own_limits_win_and_are_told() -> None:
    judge = ClassJudge(np.zeros(4, np.int64), "accuracy")
    strict, loose = compared(judge, Board()), compared(judge, Loose())
    assert (strict.passed, strict.limits) == (False, None)
    assert loose.passed
    assert loose.limits.max_steps == 100


@dataclass
class Half(Board):
    limits: Limits = field(default_factory=lambda: Limits(4.0, 0.5, 0.995))


@pytest.mark.parametrize(("share", "passed"), [(0.9999, False), (0.8, False), (0.75, True)])
def test_a_recipe_that_asks_for_less_than_the_executor_is_obeyed(share: float, *, passed: bool) -> None:
    judge = ClassJudge(np.zeros(4, np.int64), "accuracy")
    found = compared(judge, Half(), Verify(min_top1_agreement=share))
    assert found.passed is passed
    assert found.limits.min_top1_agreement == min(share, 0.995)
    assert found.limits.max_steps == 4
