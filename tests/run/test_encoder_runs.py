"""Distillation of a Hugging Face teacher's tokens into the built-in encoder, by a recipe."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file
from small_tokenizers import tokenizer_json, write_opinions

from edgedistill.api import distill
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.run.summary import Summary

WIDTH = 24


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """Return a folder with a tiny encoder of random weights; a head stands beside it."""
    transformers = pytest.importorskip("transformers", reason="the extra `text` is not installed")
    folder = tmp_path / "teacher"
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(json.loads(tokenizer_json())["model"]["vocab"]),
        hidden_size=WIDTH,
        num_hidden_layers=4,
        num_attention_heads=3,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    transformers.BertModel(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer_json(), "utf-8")
    save_file({"head.weight": torch.randn(2, WIDTH), "head.bias": torch.zeros(2)}, tmp_path / "head.safetensors")
    write_opinions(tmp_path / "opinions.jsonl", 120)
    return folder


def run(folder: Path, losses: list[dict[str, object]], **preprocessing: object) -> Summary:
    training = {"batch_size": 32, "optimizer": "adamw", "learning_rate": 0.005, "epochs": 4}
    recipe = {
        "name": "encoders",
        "threads": 1,
        "data": {
            "source": "text:opinions.jsonl",
            "preprocessing": {"kind": "text", "tokenizer": "teacher/tokenizer.json", "max_length": 20, **preprocessing},
            "views": {"count": 2, "drop_words": 0.1},
        },
        "teacher": {
            "source": "huggingface:teacher",
            "weights": "head.safetensors",
            "options": {"max_length": 20},
        },
        "student": {"source": "text-encoder", "options": {"width": 16, "heads": 2, "layers": 2}},
        "distill": {"label_weight": 0, "soft_targets": {"weight": 0}, "losses": losses, **training},
        "targets": [{"target": "arm-onnxruntime", "profile": "raspberry-pi-4"}],
        "cache": {"folder": str(folder / "cache")},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe), "utf-8")  # JSON is YAML
    return distill(folder / "recipe.yaml", folder=folder / "run")


@pytest.mark.parametrize(
    "loss",
    [
        {"method": "minilm"},
        {"method": "hidden-states"},
        {"method": "attention", "options": {"student_heads": 2, "teacher_heads": 3}},
        {"method": "embedding"},
        {"method": "fitnets", "teacher": "encoder.encoder.encoder.layer.*", "student": "layers.*"},
    ],
    ids=lambda loss: loss["method"],
)
def test_a_student_learns_the_tokens_of_a_hugging_face_teacher(teacher: Path, loss: dict[str, object]) -> None:
    summary = run(teacher.parent, [loss])
    (curve,) = summary.curves
    assert curve.points[-1].loss < curve.points[0].loss


def test_other_tokens_than_the_teachers_are_refused(teacher: Path) -> None:
    with pytest.raises(DataError, match=r"loss 'minilm': teacher and student cut texts .*\(other limits\)"):
        run(teacher.parent, [{"method": "minilm"}], max_length=16)
    other = tokenizer_json(("good", "bad"))
    (teacher.parent / "other.json").write_text(other, "utf-8")
    with pytest.raises(DataError, match=r"text 0: \d+ of the student, \d+ of the teacher"):
        run(teacher.parent, [{"method": "minilm"}], tokenizer="other.json")
