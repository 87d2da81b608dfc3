"""`verify --bisect` prints both sides of the first difference and fails the gate."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from edgedistill.evaluate.bisect import Bisection, TensorMatch
from edgedistill.evaluate.executor import Execution
from edgedistill.run import bisect, pipeline
from edgedistill.run.bisect import ArtifactBisection

Call = Callable[..., Any]
EQUAL = TensorMatch("quantize", "", "aten.input", "QuantizeLinear", 1000, 0)
FIRST = TensorMatch("quantize_4", "stages.1.0", "aten.conv2d", "QLinearConv", 25088, 17, 2, (3, 4, 2, 9), 117, 118)


def artifact(found: Bisection | None, reason: str = "") -> ArtifactBisection:
    return ArtifactBisection(
        "arm-onnxruntime/raspberry-pi-4", "onnxruntime-x86_64", "ONNX Runtime", Execution.HOST, found, reason
    )


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> list[ArtifactBisection]:
    results: list[ArtifactBisection] = []
    monkeypatch.setattr(pipeline, "plan", lambda *_, **__: SimpleNamespace(folder="run"))
    monkeypatch.setattr(bisect, "bisect_run", lambda *_, **__: results)
    return results


def test_the_first_difference_is_shown_with_both_sides(edgedistill: Call, answer: list[ArtifactBisection]) -> None:
    answer.append(artifact(Bisection(32, (EQUAL,), FIRST, False, (), False)))
    ended = edgedistill("verify", "r.yaml", "--bisect")
    assert ended.exit_code == 3
    for said in (
        "first difference: tensor 'quantize_4' of layer 'stages.1.0'",
        "program:  aten.conv2d gives code 117",
        "artifact: QLinearConv gives code 118",
        "at sample 3, index (4, 2, 9)",
        "17 of 25,088 codes differ, by at most 2",
        "1 tensors before it are equal",
        "other operators while it was looked into",
    ):
        assert said in ended.stdout
    assert "onnxruntime-x86_64" in ended.stderr


def test_no_difference_is_said_with_what_was_compared(edgedistill: Call, answer: list[ArtifactBisection]) -> None:
    answer.append(artifact(Bisection(32, (EQUAL,), None, True, (), True)))
    answer.append(artifact(None, "not built"))
    ended = edgedistill("verify", "r.yaml", "--bisect")
    assert ended.exit_code == 0
    assert "no difference in 1,000 codes of 1 tensors; the outputs have the same bits" in ended.stdout
    assert "not compared, not built" in ended.stdout


def test_other_outputs_behind_equal_codes_fail_too(edgedistill: Call, answer: list[ArtifactBisection]) -> None:
    answer.append(artifact(Bisection(32, (EQUAL,), None, False, ("quantize_9",), True)))
    ended = edgedistill("verify", "r.yaml", "--bisect", "--json")
    assert ended.exit_code == 3
    found = json.loads(ended.stdout[: ended.stdout.rindex("]") + 1])[0]["found"]
    assert found["missing"] == ["quantize_9"]
    assert found["first"] is None
