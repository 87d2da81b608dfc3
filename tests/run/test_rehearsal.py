"""The untrained student is held against every target's rules before a teacher is asked anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from recipes import quick_document, write_recipe

from edgedistill.errors import DependencyError, ModelError, UnsupportedError
from edgedistill.run import pipeline
from edgedistill.run.pipeline import Stage, execute, plan
from edgedistill.run.rehearsal import Finding, refuse
from edgedistill.targets.base import Issue, Severity
from edgedistill.targets.phone_coreml import target as phone
from edgedistill.targets.phone_coreml.target import PhoneCoreMl

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedistill.run.pipeline import Plan

STUDENTS = """
import torch
from torch import nn


class Student(nn.Module):
    def __init__(self, kind, outputs):
        super().__init__()
        self.kind = kind
        self.stem = nn.Conv2d(1, 4, 3, stride=4)
        self.head = nn.Linear(4, outputs)
        self.rnn = nn.GRU(7, 4, batch_first=True) if kind == "gru" else None

    def forward(self, images):
        features = self.stem(images)
        if self.kind == "six axes":
            features = features[:, :, None, None] * 1.5
            features = features.flatten(1, 3)
        if self.kind == "bessel":
            features = torch.special.bessel_j0(features)
        if self.kind == "branch" and features.sum() > 0:
            features = -features
        if self.rnn is not None:
            return self.head(self.rnn(features[:, 0])[0][:, -1])
        return self.head(features.mean((2, 3)))


def make(kind="", outputs=6):
    return Student(kind, outputs)
"""
BOARD = {"target": "arm-onnxruntime", "profile": "raspberry-pi-4"}
PHONE = {"target": "phone-coreml", "profile": "iphone-15-pro"}
MODULE = {"target": "jetson-tensorrt", "profile": "orin-nano"}


def planned(
    folder: Path,
    target: Mapping[str, object],
    options: Mapping[str, object],
    *,
    until: Stage = Stage.REPORT,
    **more: object,
) -> Plan:
    (folder / "students.py").write_text(STUDENTS, "utf-8")
    document = quick_document() | more
    document["student"] = {"source": "python:students:make", "options": dict(options)}
    document["targets"] = [dict(target)]
    recipe = write_recipe(folder, document)
    return plan(recipe, overrides=[f"cache.folder={folder / 'cache'}"], folder=folder / "run", until=until)


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        (
            PHONE,
            {"kind": "six axes"},
            r"'phone-coreml/iphone-15-pro': rule COREML006, .*: a tensor of 6 axes; Core ML has",
        ),
        (PHONE, {"kind": "bessel"}, r"rule COREML005.*bessel_j0.* has no counterpart in Core ML"),
        (MODULE, {"kind": "gru"}, r"layer 'rnn': a GRU: no runtime of our targets computes it"),
        (BOARD, {"kind": "branch"}, r"capture of Student.* a model without data-dependent control flow"),
        (BOARD, {"outputs": 5}, r"5 outputs, and the data have 6 classes"),
        (BOARD, {"kind": "bessel"}, r"export to ONNX: torch\.onnx says"),
    ],
)
def test_a_student_that_no_run_could_deploy_is_refused_before_the_teacher_answers(
    tmp_path: Path, target: Mapping[str, object], options: Mapping[str, object], told: str
) -> None:
    job = planned(tmp_path, target, options)
    with pytest.raises((UnsupportedError, ModelError), match=told) as error:
        execute(job)
    assert error.value.exit_code == 2
    assert not (tmp_path / "cache" / "soft-targets").exists()


def test_a_layer_that_a_loss_names_is_looked_for_first(tmp_path: Path) -> None:
    hints = {"hints": [{"teacher": "stages.0", "student": "stages.7"}]}
    with pytest.raises(ModelError, match=r"layer 'stages\.7': not in the student"):
        execute(planned(tmp_path, BOARD, {}, distill=hints))
    assert not (tmp_path / "cache" / "soft-targets").exists()


def test_nothing_is_written_and_no_random_number_is_drawn(tmp_path: Path) -> None:
    job = planned(tmp_path, BOARD, {})
    before = torch.random.get_rng_state()
    assert pipeline.check(job) == []
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


def test_a_run_that_only_trains_needs_no_vendors_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> list[Issue]:
        raise DependencyError("target 'phone-coreml'", found="coremltools cannot be loaded", fix="install it")

    monkeypatch.setattr(PhoneCoreMl, "check", missing)
    monkeypatch.setattr(
        phone, "lacking", lambda **_: [Issue("needs", "coremltools", Severity.ERROR, "not installed", "pip install x")]
    )
    (found,) = pipeline.check(planned(tmp_path, PHONE, {}, until=Stage.DISTILL))
    assert found.issue == Issue(
        "needs", "program", Severity.WARNING, "not checked: coremltools cannot be loaded", "pip install x"
    )
    refuse([found])


def test_warnings_stand_in_no_ones_way_and_the_first_error_says_how_many_there_are() -> None:
    issues = [
        Issue("R1", "a", Severity.WARNING, "slow", "wait"),
        Issue("R2", "b", Severity.ERROR, "no such layer", "replace it"),
        Issue("R3", "c", Severity.ERROR, "too long", "cut it"),
    ]
    findings = [Finding("toaster/one", issue) for issue in issues]
    refuse(findings[:1])
    with pytest.raises(UnsupportedError, match=r"'toaster/one': rule R2, b: no such layer \(and 1 more\).*replace it"):
        refuse(findings)
