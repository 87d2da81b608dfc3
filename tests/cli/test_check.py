from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from recipes import write_recipe

from edgedistill.run import pipeline
from edgedistill.run.rehearsal import Finding
from edgedistill.targets.base import Issue, Severity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Ended

SLOW = Finding(
    "arm-onnxruntime/raspberry-pi-4", Issue("ARM005", "mish", Severity.WARNING, "runs in float", "take relu")
)
BROKEN = Finding("toaster/one", Issue("R1", "gru", Severity.ERROR, "not known", "replace it"))


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    findings = [SLOW]
    monkeypatch.setattr(pipeline, "check", lambda *_, **__: findings)
    return findings


def test_what_the_targets_say_is_listed(
    edgedistill: Callable[..., Ended], found: list[Finding], tmp_path: Path
) -> None:
    path = write_recipe(tmp_path)
    ended = edgedistill("check", path)
    assert ended.exit_code == 0
    assert ended.stdout.splitlines()[1].split() == (
        ["arm-onnxruntime/raspberry-pi-4", "warning", "ARM005", "mish", "runs", "in", "float", "take", "relu"]
    )
    assert ended.stdout.splitlines()[-1] == "nothing stands in the way of quick for arm-onnxruntime/raspberry-pi-4"
    assert edgedistill("check", path, "--json").document() == [{"target": found[0].target, **asdict(SLOW.issue)}]


def test_an_error_is_the_users(edgedistill: Callable[..., Ended], found: list[Finding], tmp_path: Path) -> None:
    found.append(BROKEN)
    ended = edgedistill("check", write_recipe(tmp_path))
    assert ended.exit_code == 2
    assert "R1" in ended.stdout
    assert ended.stderr.startswith("error: student for target 'toaster/one': rule R1, gru: not known; wanted")


def test_a_recipe_that_no_target_can_do_is_refused_without_a_look_at_the_student(
    edgedistill: Callable[..., Ended], tmp_path: Path
) -> None:
    targets = '[{"target": "jetson-tensorrt", "profile": "orin-nano"}]'
    ended = edgedistill("run", write_recipe(tmp_path), "task=segmentation", f"targets={targets}", "--dry-run")
    assert ended.exit_code == 2
    assert ended.stderr == (
        "error: target 'jetson-tensorrt': 'task: segmentation'; wanted classification or embedding. "
        "choose another of `edgedistill targets`.\n"
    )
