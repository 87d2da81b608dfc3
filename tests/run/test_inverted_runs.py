"""Whole runs without data: what they leave, what they refuse, and calibration from inverted samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from recipes import quick_document, write_recipe

from edgedistill.errors import GateError, InputError
from edgedistill.run.pipeline import Stage, execute, plan
from edgedistill.run.summary import FILE, Summary, summary_from_file

if TYPE_CHECKING:
    from pathlib import Path

GATES_OFF = {"min_confidence": 0.0, "min_class_share": 0.0}
SMALL = {"samples": 70, "evaluation_samples": 24, "batch_size": 35, "steps": 3}
LAYER_NORM = """
from torch import nn


def layer_norm_teacher():
    return nn.Sequential(nn.Flatten(), nn.LayerNorm(28 * 28), nn.Linear(28 * 28, 6))
"""


def document(**data: object) -> dict[str, object]:
    """Return the quick recipe without data."""
    found = quick_document()
    found["data"] = found["data"] | {"source": "inverted", "classes": list("abcdef"), "inversion": SMALL | GATES_OFF}
    found["data"] |= data
    return found


def finished(folder: Path, found: dict[str, object], *overrides: str, until: Stage = Stage.REPORT) -> Summary:
    recipe = write_recipe(folder, found)
    cache = f"cache.folder={folder / 'cache'}"
    return execute(plan(recipe, overrides=[cache, *overrides], folder=folder / "run", until=until))


def test_a_run_without_any_data_says_what_was_not_measured(tmp_path: Path) -> None:
    summary = finished(tmp_path, document(), "distill.label_weight=0")
    assert {rung.metric for rung in summary.ladder if rung.value is not None} == {
        "agreement with the teacher on samples made from it"
    }
    assert summary.ladder[0].value == 1
    assert {rung.n for rung in summary.ladder if rung.value is not None} == {24}
    train, test = summary.synthesis
    assert (train.used_as, train.samples, test.used_as, test.samples) == (
        "transfer set and calibration set",
        70,
        "evaluation set",
        24,
    )
    assert train.origin == "synthesised from the teacher"
    assert sum(train.counts) == 70
    assert any(note.startswith("accuracy was not measured") for note in summary.notes)
    assert [gate.name for gate in summary.gates if "confidence" in gate.name or "balance" in gate.name]
    assert summary.parity[0].passed
    page = (tmp_path / "run/report.html").read_text("utf-8")
    assert "data:image/png;base64," in page
    assert "synthesised from the teacher" in page
    assert summary == summary_from_file(tmp_path / "run" / FILE)


def test_an_evaluation_set_makes_it_accuracy_and_few_samples_are_few(tmp_path: Path) -> None:
    summary = finished(tmp_path, document(evaluation="shapes"), until=Stage.TEACH)
    assert (summary.ladder[0].metric, len(summary.synthesis)) == ("accuracy", 1)
    assert not any(note.startswith("accuracy was not measured") for note in summary.notes)
    again = plan(tmp_path / "recipe.yaml", folder=tmp_path / "run", overrides=[f"cache.folder={tmp_path / 'cache'}"])
    assert again.stages[0].state == "cached"
    few = quick_document()
    few["data"] = few["data"] | {"max_per_class": 2, "views": {"count": 3, "mixup": 1.0}}
    (tmp_path / "few").mkdir()
    finished(tmp_path / "few", few, until=Stage.TEACH)
    (shard, *_) = (tmp_path / "few/cache/soft-targets").glob("*/view-0000/*")
    assert shard.stat().st_size < 12 * 6 * 2 + 300


def test_ranges_may_come_from_inverted_samples(tmp_path: Path) -> None:
    found = quick_document()
    found["data"] = found["data"] | {"inversion": SMALL | GATES_OFF}
    real = finished(tmp_path, found, until=Stage.QUANTIZE)
    other = finished(tmp_path, found, "quantize.calibration.source=inverted", until=Stage.QUANTIZE)
    assert (real.synthesis, [record.used_as for record in other.synthesis]) == ((), ["calibration set"])
    programs = [rung.value for rung in (*real.ladder, *other.ladder) if rung.stage == "calibrated"]
    assert len(programs) == 2


def test_the_gate_stops_before_anything_is_learned(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="a mean confidence of 0"):
        finished(tmp_path, document(inversion=SMALL | {"min_confidence": 0.99}))
    assert not (tmp_path / "run/student").exists()


@pytest.mark.parametrize(
    ("teacher", "data", "message"),
    [
        ({"source": "python:no_batch_norm:layer_norm_teacher"}, {}, r"LayerNorm.*mixup: 1\.0"),
        ({"source": "recorded"}, {}, "its answers were recorded.*few_samples"),
        ({}, {"classes": []}, r"no 'data\.classes'"),
        ({}, {"max_per_class": 3}, r"data\.inversion\.samples"),
        ({}, {"preprocessing": {"kind": "text", "tokenizer": "t.json"}}, "token numbers and sounds are not optimised"),
    ],
)
def test_what_cannot_be_inverted_is_refused_with_the_reason(
    tmp_path: Path, teacher: dict[str, object], data: dict[str, object], message: str
) -> None:
    found = document(**data)
    found["teacher"] = teacher or found["teacher"]
    (tmp_path / "no_batch_norm.py").write_text(LAYER_NORM, "utf-8")
    with pytest.raises(InputError, match=message):
        finished(tmp_path, found)
