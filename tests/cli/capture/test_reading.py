"""Verbs that look into a store and delete from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from edgedistill.capture.completion import chat_completion
from edgedistill.capture.store import Entry, Store

if TYPE_CHECKING:
    from pathlib import Path

Call = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    entries = []
    for number in range(3):
        request = {"model": "teacher", "messages": [{"role": "user", "content": f"is text {number} good?"}]}
        message = {"role": "assistant", "content": "yes"}
        response = {
            "id": f"chatcmpl-{number}",
            "created": 1_760_000_000 + number,
            "choices": [{"finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 1},
        }
        pairs = {"split": "train" if number else "test"}
        entries.append(Entry(chat_completion(request, response, metadata=pairs, source="import:a.jsonl")))
    with Store(tmp_path / "captured") as store:
        store.add_many(entries)
        store.set_grade("chatcmpl-1", "judge", score=0.5, passed=True)
    return tmp_path / "captured"


def test_list_shows_the_newest_first(edgedistill: Call, folder: Path) -> None:
    lines = edgedistill("capture", "list", "--store", folder, "--limit", 2).stdout.splitlines()
    assert lines[0].split() == ["id", "created", "model", "prompt", "answer", "finish", "grades"]
    assert [line.split()[0] for line in lines[1:3]] == ["chatcmpl-2", "chatcmpl-1"]
    assert "2025-10-09 08:53:21Z" in lines[2]
    assert "is text 1 good?" in lines[2]
    assert lines[2].endswith("judge 0.5")
    assert lines[3] == "2 of 3 that match"


def test_list_filters_and_goes_on(edgedistill: Call, folder: Path) -> None:
    where = ("-w", "metadata.split=train", "-w", "model=teacher")
    document = edgedistill("capture", "list", "--store", folder, *where, "--json", "-n", 1, "--oldest-first").document()
    assert document["matching"] == 2
    assert document["has_more"] is True
    (record,) = document["completions"]
    assert record["id"] == "chatcmpl-1"
    assert record["grades"] == {"judge": {"score": 0.5, "passed": True}}
    assert record["request"]["messages"][0]["content"] == "is text 1 good?"
    after = edgedistill(
        "capture", "list", "--store", folder, *where, "--json", "--oldest-first", "--after", record["id"]
    )
    assert [record["id"] for record in after.document()["completions"]] == ["chatcmpl-2"]


def test_show(edgedistill: Call, folder: Path) -> None:
    text = edgedistill("capture", "show", "chatcmpl-1", "--store", folder).stdout
    assert text.startswith("user: is text 1 good?\nassistant: yes\n")
    assert "grades.judge.score   0.5" in text
    document = edgedistill("capture", "show", "chatcmpl-1", "--store", folder, "--json").document()
    assert document["response"]["usage"] == {"prompt_tokens": 5, "completion_tokens": 1}


def test_stats(edgedistill: Call, folder: Path) -> None:
    found = edgedistill("capture", "stats", "--store", folder, "--json").document()
    size = found.pop("size_bytes")
    assert size > 10_000
    assert found == {
        "completions": 3,
        "distinct_prompts": 3,
        "exact_duplicates": 0,
        "first_created": 1_760_000_000,
        "last_created": 1_760_000_002,
        "prompt_tokens": 15,
        "completion_tokens": 3,
        "kinds": {"chat": 3},
        "models": {"teacher": 3},
        "finish_reasons": {"stop": 3},
        "sources": {"import:a.jsonl": 3},
        "redactions": {"none": 3},
        "metadata_keys": {"split": 3},
        "graders": {"judge": 1},
    }
    assert "models.teacher" in edgedistill("capture", "stats", "--store", folder).stdout


def test_stats_of_an_empty_store(edgedistill: Call, folder: Path) -> None:
    assert edgedistill("capture", "delete", "--store", folder, "--all").exit_code == 0
    found = edgedistill("capture", "stats", "--store", folder, "--json").document()
    assert (found["completions"], found["first_created"], found["kinds"]) == (0, None, {})


def test_delete(edgedistill: Call, folder: Path) -> None:
    dry = edgedistill("capture", "delete", "--store", folder, "-w", "metadata.split=train", "--dry-run")
    assert dry.stdout == "would delete 2 completions\n"
    dry = edgedistill("capture", "delete", "--store", folder, "chatcmpl-0", "chatcmpl-9", "--dry-run", "--json")
    assert dry.document() == {"deleted": 1, "wiped": False, "dry_run": True}
    assert edgedistill("capture", "delete", "--store", folder, "chatcmpl-0").stdout == "deleted 1 completions\n"
    gone = edgedistill("capture", "delete", "--store", folder, "-w", "grader=judge", "--json").document()
    assert gone == {"deleted": 1, "wiped": True, "dry_run": False}
    with Store(folder) as store:
        assert [completion.id for completion in store.iterate()] == ["chatcmpl-2"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("delete",), "ids, or a filter (--where), or --all"),
        (("delete", "a", "--all"), "more than one of the three"),
        (("delete", "-w", "modle=a"), "did you mean 'model'?"),
        (("show", "chatcmpl-9"), "completion 'chatcmpl-9': not in store"),
        (("list", "--after", "chatcmpl-9"), "completion 'chatcmpl-9': not in the store"),
    ],
)
def test_what_is_refused(edgedistill: Call, folder: Path, arguments: tuple[str, ...], words: str) -> None:
    ended = edgedistill("capture", *arguments, "--store", folder)
    assert ended.exit_code == 2
    assert words in ended.stderr
    with Store(folder) as store:
        assert store.count() == 3


@pytest.mark.parametrize("verb", [("list",), ("show", "a"), ("stats",), ("delete", "--all")])
def test_a_store_that_is_not_there(edgedistill: Call, tmp_path: Path, verb: tuple[str, ...]) -> None:
    ended = edgedistill("capture", *verb, "--store", tmp_path / "captrued")
    assert ended.exit_code == 2
    assert "no store of captured completions there" in ended.stderr
    assert list(tmp_path.iterdir()) == []
