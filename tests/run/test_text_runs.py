"""Whole runs on texts: a teacher of the built-in family, recorded answers, and sentence embeddings."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_stores import labelled_chat, opinion_chats, write_store
from small_tokenizers import opinions, tokenizer_json, write_opinions

from edgedistill.errors import DataError, EdgeDistillError, ModelError, RecipeError
from edgedistill.evaluate.executor import Execution
from edgedistill.models.text import TextConvNet
from edgedistill.run.pipeline import execute, plan

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.run.summary import Summary

VOCABULARY = len(json.loads(tokenizer_json())["model"]["vocab"])
SMALL = {"width": 8, "filters": 8, "kernels": [1, 3]}


def document(**changes: object) -> dict[str, object]:
    """Return a recipe on opinions that runs in seconds."""
    training = {"batch_size": 32, "optimizer": "adamw", "learning_rate": 0.01}
    return {
        "name": "opinions",
        "threads": 1,
        "data": {
            "source": "text:opinions.jsonl",
            "preprocessing": {"kind": "text", "tokenizer": "tokenizer.json", "max_length": 16},
            "views": {"count": 2, "drop_words": 0.1},
        },
        "teacher": {"source": "text-conv", "options": SMALL, "weights": "teacher.safetensors"},
        "student": {"source": "text-conv", "options": SMALL},
        "distill": {"epochs": 6, "label_weight": 1.0, **training},
        "quantize": {
            "calibration": {"samples": 64, "max_drift": 5.0},
            "finetune": {**training, "epochs": 1, "learning_rate": 0.001},
            "max_accuracy_drop": 0.1,
        },
        "targets": [{"target": "arm-onnxruntime", "profile": "raspberry-pi-4"}],
        "verify": {"emulate": "never"},
        "bench": {"processes": 1, "samples": 44},
        "cache": {"folder": "cache"},
        **changes,
    }


def run(folder: Path, recipe: dict[str, object]) -> Summary:
    (folder / "tokenizer.json").write_text(tokenizer_json(), "utf-8")
    if not (folder / "opinions.jsonl").exists():
        write_opinions(folder / "opinions.jsonl", 240)
    torch.manual_seed(0)
    teacher = TextConvNet(classes=2, vocabulary=VOCABULARY, width=8, filters=8, kernels=(1, 3))
    save_file(teacher.state_dict(), folder / "teacher.safetensors")
    recipe["cache"] = {"folder": str(folder / "cache")}
    (folder / "recipe.yaml").write_text(json.dumps(recipe), "utf-8")  # JSON is YAML
    return execute(plan(folder / "recipe.yaml", folder=folder / "run"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    folder = tmp_path_factory.mktemp("opinions")
    return folder, run(folder, document())


def test_an_artifact_of_texts_is_verified(finished: tuple[Path, Summary]) -> None:
    _, summary = finished
    values = {rung.stage: rung.value for rung in summary.ladder if rung.execution is not Execution.NOT_RUN}
    assert values["student"] is not None
    assert values["student"] > 0.9  # words decide, and it has the labels
    assert summary.parity[0].passed
    assert {"tokenizer.json", "tokens.py", "runner.py"} <= {file.path for file in summary.artifacts[0].files}


def test_the_runner_reads_raw_text(finished: tuple[Path, Summary]) -> None:
    folder, summary = finished
    home = folder / "run" / summary.artifacts[0].folder
    texts = [text for text, _ in opinions(6, seed=9)]
    command = [sys.executable, home / "runner.py", "predict", *(part for text in texts for part in ("--text", text))]
    done = subprocess.run(command, capture_output=True, check=True)
    found = [item["class"] for item in json.loads(done.stdout)["result"]["predictions"]]
    assert np.mean([name == label for name, (_, label) in zip(found, opinions(6, seed=9), strict=True)]) > 0.8


def test_recorded_answers_teach(tmp_path: Path) -> None:
    rows = [
        {"text": text, "label": label if number % 3 else None, "teacher": {label: -0.05}}
        for number, (text, label) in enumerate(opinions(240))
    ]
    (tmp_path / "opinions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    summary = run(tmp_path, document(teacher={"source": "recorded"}))
    teacher, student = summary.ladder[0], summary.ladder[1]
    assert (teacher.value, teacher.parameters) == (1.0, None)
    assert "no model was run" in teacher.note
    assert student.value is not None
    assert student.value > 0.9
    assert student.n < summary.parity[0].n  # rows without a person's label do not count


def test_embeddings_are_learned_from_the_teacher_alone(tmp_path: Path) -> None:
    teacher = {"source": "python:wide_teacher:build", "weights": "wide.safetensors"}
    code = "from edgedistill.models.text import TextConvNet\ndef build():\n    return TextConvNet(classes=12, "
    (tmp_path / "wide_teacher.py").write_text(f"{code}vocabulary={VOCABULARY}, width=8, filters=8)\n")
    torch.manual_seed(1)
    save_file(
        TextConvNet(classes=12, vocabulary=VOCABULARY, width=8, filters=8).state_dict(), tmp_path / "wide.safetensors"
    )
    student = {"source": "text-conv", "options": {"width": 8, "filters": 16, "dropout": 0.0}}
    summary = run(tmp_path, document(task="embedding", teacher=teacher, student=student))
    values = [rung.value for rung in summary.ladder if rung.value is not None]
    assert values[0] == pytest.approx(1)
    assert {rung.metric for rung in summary.ladder if rung.value is not None} == {"cosine to the teacher"}
    assert min(values) > 0.8
    assert summary.classes == ()
    assert summary.confusion == ()
    assert summary.parity[0].passed


def test_captured_answers_become_an_artifact(tmp_path: Path) -> None:
    write_store(tmp_path / "store", opinion_chats(240))
    data = {
        "source": "capture:store",
        "captured": {"metadata": {"task": "opinion"}, "gold": "gold"},
        "classes": ["bad", "good"],
        "preprocessing": {"kind": "text", "tokenizer": "tokenizer.json", "max_length": 16},
    }
    summary = run(tmp_path, document(data=data, teacher={"source": "recorded"}))
    teacher, student = summary.ladder[:2]
    assert (teacher.metric, teacher.value) == ("accuracy", 1.0)
    assert student.n < summary.agreement[0].n  # a third has its true class
    assert summary.agreement[0].value > 0.9
    assert {item.execution for item in summary.agreement} == {Execution.SIMULATED, Execution.HOST}
    curve = summary.abstention[-1]
    assert curve.points[0].answered == 1
    assert curve.points[0].accuracy == summary.ladder[-2].value
    assert any("240 captured completions" in note for note in summary.notes)
    assert "Answering only when sure" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_captured_texts_that_a_teacher_wrote_are_refused_plainly(tmp_path: Path) -> None:
    chats = [labelled_chat(number, f"ask {number}", f"Well, {number} is a number that I like.") for number in range(40)]
    write_store(tmp_path / "store", chats)
    data = {"source": "capture:store", "preprocessing": {"kind": "text", "tokenizer": "tokenizer.json"}}
    with pytest.raises(DataError, match="the teacher writes texts, and a compact classifier cannot"):
        run(tmp_path, document(data=data, teacher={"source": "recorded"}))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"task": "embedding", "distill": {"baseline": True}}, RecipeError, "no labels to learn from alone"),
        ({"student": {"source": "residual"}}, ModelError, "it reads images"),
        ({"teacher": {"source": "recorded"}}, EdgeDistillError, "no answer of a teacher"),
        ({"teacher": {"source": "huggingface:none"}}, ModelError, "no folder"),
        ({"student": {"source": "text-conv", "embeddings": "none"}}, ModelError, "no folder"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    tmp_path: Path, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(tmp_path, document(**changes))
