"""Import, export and split as a user calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

Call = Callable[..., Any]


@pytest.fixture
def store(edgedistill: Call, tmp_path: Path) -> Path:
    lines = [{"text": f"text {n % 25}", "label": "good" if n % 2 else "bad", "n": n} for n in range(50)]
    (tmp_path / "given.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    ended = edgedistill("capture", "import", tmp_path / "given.jsonl", "--store", tmp_path / "store", "-m", "task=a")
    assert ended.stdout == f"added 50 completions to '{tmp_path / 'store'}'; 0 were there already\n"
    return tmp_path / "store"


def test_import_again_adds_nothing(edgedistill: Call, store: Path, tmp_path: Path) -> None:
    again = edgedistill("capture", "import", tmp_path / "given.jsonl", "--store", store, "--json")
    assert again.document() == {"added": 0, "already": 50, "without_prompt": 0}


def test_import_says_when_prompts_are_missing(edgedistill: Call, store: Path, tmp_path: Path) -> None:
    listed = {"object": "list", "data": [{"id": "a", "choices": [{"message": {"content": "yes"}}]}]}
    (tmp_path / "list.json").write_text(json.dumps(listed))
    assert "/messages" in edgedistill("capture", "import", tmp_path / "list.json", "--store", store).stdout


def test_export(edgedistill: Call, store: Path, tmp_path: Path) -> None:
    ended = edgedistill(
        "capture", "export", tmp_path / "out.jsonl", "--store", store, "--as", "messages", "-w", "metadata.n=3"
    )
    assert ended.stdout == f"wrote 1 completions to {tmp_path / 'out.jsonl'}\n"
    (line,) = (tmp_path / "out.jsonl").read_text().splitlines()
    assert json.loads(line)["messages"][-1] == {"role": "assistant", "content": "good"}
    ended = edgedistill("capture", "export", tmp_path / "out.parquet", "--store", store, "--unique", "prompt", "--json")
    assert ended.document() == {"file": str(tmp_path / "out.parquet"), "written": 25, "left_out": 0}


def test_export_to_standard_output(store: Path) -> None:
    command = [sys.executable, "-m", "edgedistill", "capture", "export", "-", "--store", str(store), "--as", "labels"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    first, *rest = [json.loads(line) for line in done.stdout.splitlines()]
    assert first == {"text": "text 0", "label": "bad", "n": "0", "task": "a"}
    assert len(rest) == 49


def test_split(edgedistill: Call, store: Path, tmp_path: Path) -> None:
    ended = edgedistill("capture", "split", tmp_path / "parts", "train=3", "test=1", "--store", store, "--as", "labels")
    assert ended.exit_code == 0
    assert "warning: 50 completions: fewer than the 200 that are advised" in ended.stdout
    texts = {
        name: {json.loads(line)["text"] for line in (tmp_path / f"parts/{name}.jsonl").read_text().splitlines()}
        for name in ("train", "test")
    }
    assert not texts["train"] & texts["test"]
    assert len(texts["train"]) + len(texts["test"]) == 25
    document = edgedistill("capture", "split", tmp_path / "more", "--store", store, "--near", "--json").document()
    assert sum(part["completions"] for part in document["parts"].values()) == 50
    assert document["parts"]["train"]["file"] == str(tmp_path / "more/train.jsonl")
    assert "50 completions" in document["warnings"][0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "a.txt"), "--as"),
        (("export", "a.jsonl", "--as", "mesages"), "did you mean 'messages'?"),
        (("export", "a.jsonl", "--unique", "all"), "exact, prompt, near"),
        (("export", "-", "--as", "parquet"), "JSON lines"),
        (("export", "a.npz"), "predictions: none"),
        (("split", "parts", "-w", "metadata.n=1"), "1 completions; wanted at least 10"),
        (("split", "parts", "--as", "npz"), "it holds its split itself"),
        (("split", "parts", "train"), "wanted a number"),
        (("import", "absent.jsonl"), "No such file"),
    ],
)
def test_what_is_refused(
    edgedistill: Call,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = edgedistill("capture", *arguments, "--store", store)
    assert ended.exit_code == 2, ended.stdout
    assert words in " ".join(ended.stderr.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given.jsonl", "store"]
