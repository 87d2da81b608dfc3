"""What the folder's README shows is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml

import edgedistill
from edgedistill.distill.history import StepInfo
from edgedistill.distill.methods.base import Method, Probed, TermInputs
from edgedistill.distill.methods.chosen import chosen_losses
from edgedistill.recipe import Distill, section_from_mapping

TEXT = (Path(edgedistill.__file__).parent / "distill" / "methods" / "README.md").read_text("utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found
    return found.group(1)


def test_the_recipe_is_one() -> None:
    settings = section_from_mapping(Distill, yaml.safe_load(block("yaml"))["distill"], thing="distill")
    assert [chosen.method.name for chosen in chosen_losses(settings.losses)] == ["dkd", "kd++"]


def test_the_method_works() -> None:
    namespace: dict[str, object] = {"__name__": "example"}
    exec(block("python"), namespace)  # noqa: S102 - our own example
    method = namespace["SQUARED"]
    assert isinstance(method, Method)
    probed = Probed(classes=2, samples=3, pairs=(), student_shapes=(), teacher_shapes=(), teacher=None)  # type: ignore[arg-type] # not asked
    term = method.build(probed, method.checked({"scale": 2}))
    whole = torch.zeros(1, dtype=torch.int64)
    inputs = TermInputs(
        student_logits=torch.tensor([[1.0, 5.0]]),
        teacher_logits=torch.tensor([[3.0, 1.0]]),
        student_features=(),
        teacher_features=(),
        labels=whole,
        mixed_labels=whole,
        mix=torch.zeros(1),
        indices=whole,
        step=StepInfo(step=0, total_steps=1, epoch=0, view=0, learning_rate=0.1),
    )
    assert float(term(inputs)) == pytest.approx((1 + 4) / 2)
