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


def compared(judge: Judge, executor: Board) -> object:
    context = SimpleNamespace(judge=judge, recipe=SimpleNamespace(verify=Verify()))
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
