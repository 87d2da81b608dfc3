"""`capture label` and `capture generate`: files and stores in, sets out, refusals in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from chat_server import ChatServer, serving
from chat_stub import last_text

from edgedistill.capture.completion import chat_completion
from edgedistill.capture.journal import rows_of
from edgedistill.capture.store import Entry, Store

if TYPE_CHECKING:
    from pathlib import Path

Call = Callable[..., Any]
ASKING = ("--model", "teacher-1", "--key-variable", "")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [{"text": f"number {n}", "label": "even" if n % 2 == 0 else "odd"} for n in range(20)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows[:15])), "utf-8")
    (tmp_path / "validation.jsonl").write_text("\n".join(map(json.dumps, rows[15:])), "utf-8")
    return tmp_path


def parity(body: dict[str, object]) -> str:
    number = int(last_text(body).split()[-1])
    return f"<think>{number} mod 2</think>{'Even' if number % 2 == 0 else 'Odd'}."


def test_label_two_files(edgedistill: Call, here: Path) -> None:
    labels = ("--task", "classification", "--label", "even", "--label", "odd", "--strip-reasoning")
    with serving(ChatServer(parity)) as address:
        ended = edgedistill(
            "capture", "label", "--train", "train.jsonl", "--validation", "validation.jsonl",
            "--out", "out", "--endpoint", address, *ASKING, *labels,
        )  # fmt: skip
    assert ended.exit_code == 0, ended.stderr
    assert "written: out/train.jsonl, validation.jsonl" in ended.stdout
    assert "warning: 15 training rows are few" in ended.stdout
    assert "terms" in ended.stdout
    train: Any = rows_of(here / "out" / "train.jsonl")
    assert [row["messages"][-1]["content"] for row in train[:3]] == ["even", "odd", "even"]
    assert "think" not in (here / "out" / "train.jsonl").read_text("utf-8")
    assert len(rows_of(here / "out" / "validation.jsonl")) == 5


def test_label_as_json_with_a_share_for_validation(edgedistill: Call, here: Path) -> None:
    rows = [json.dumps({"text": f"number {n}"}) for n in range(60)]
    (here / "train.jsonl").write_text("\n".join(rows), "utf-8")
    with serving(ChatServer(parity)) as address:
        found = edgedistill(
            "capture", "label", "--train", "train.jsonl", "--validation-share", "0.3", "--out", "out",
            "--endpoint", address, *ASKING, "--temperature", "0", "--json",
        ).document()  # fmt: skip
    assert found["labelled"] == 60
    assert 5 < found["rows"]["validation"] < 35
    assert found["folder"] == "out"


def test_label_what_a_store_holds(edgedistill: Call, here: Path) -> None:
    with Store(here / "captured") as store:
        for n in range(24):
            request = {"model": "old", "messages": [{"role": "user", "content": f"number {n}"}]}
            response = {"id": f"c-{n}", "choices": [{"message": {"role": "assistant", "content": "Even."}}]}
            entry = Entry(chat_completion(request, response, metadata={"use": "a" if n < 12 else "b"}))
            store.add_many([entry])
    with serving(ChatServer(parity)) as address:
        found = edgedistill(
            "capture", "label", "--where", "metadata.use=a", "--validation-share", "0", "--out", "out",
            "--endpoint", address, *ASKING, "--strip-reasoning", "--json",
        ).document()  # fmt: skip
    assert (found["labelled"], found["gold"], found["agrees_with_gold"]) == (12, 12, 6)


def test_the_labels_can_be_graded(edgedistill: Call, here: Path) -> None:
    with serving(ChatServer(parity)) as address:
        options = ("--out", "out", "--endpoint", address, *ASKING, "--strip-reasoning")
        edgedistill("capture", "label", "--train", "train.jsonl", *options)
    check = {
        "type": "string_check",
        "name": "right",
        "input": "{{sample.output_text}}",
        "reference": "{{item.gold}}",
        "operation": "ilike",
    }
    (here / "check.json").write_text(json.dumps(check), "utf-8")
    ended = edgedistill("capture", "grade", "check.json", "--data", "out/pairs.jsonl", "--json")
    assert ended.document()["pass_rate"] == 1.0


def test_a_failed_gate_says_what_is_kept(edgedistill: Call, here: Path) -> None:
    with serving(ChatServer(lambda _: (400, {"error": {"message": "too long"}}))) as address:
        ended = edgedistill(
            "capture", "label", "--train", "train.jsonl", "--out", "out", "--endpoint", address, *ASKING
        )
    assert ended.exit_code == 3
    assert "status 400: too long" in ended.stderr
    assert ended.stdout == ""
    with serving(ChatServer(lambda _: (400, {}))) as address:
        ended = edgedistill(
            "capture", "label", "--train", "train.jsonl", "--out", "two", "--endpoint", address, *ASKING, "--json"
        )
    assert (ended.exit_code, ended.document()["error"], ended.document()["exit_code"]) == (3, "GateError", 3)
    assert not (here / "out" / "train.jsonl").exists()


def test_generate(edgedistill: Call, here: Path) -> None:
    (here / "topics.txt").write_text("# subjects\nships\n\ntrains\nships\n", "utf-8")
    count = iter(range(10**6))

    def reply(_: dict[str, object]) -> str:
        texts = [f"{n} {chr(97 + n % 26) * 20} {n * 7919}" for n in (next(count) for _ in range(4))]
        return json.dumps({"examples": [{"premise": f"p {text}", "hypothesis": f"h {text}"} for text in texts]})

    server = ChatServer(reply)
    with serving(server) as address:
        ended = edgedistill(
            "capture", "generate", "nli", "--count", "24", "--per-request", "4", "--topics", "topics.txt", "--domain",
            "All are about travel.", "--out", "out", "--endpoint", address, *ASKING, "--similarity", "0.95",
        )  # fmt: skip
    assert ended.exit_code == 0, ended.stderr
    asked = [str(body["messages"]) for body in server.bodies]
    assert all("All are about travel." in text for text in asked)
    assert all("Subject: ships" in text or "Subject: trains" in text for text in asked)
    rows = rows_of(here / "out" / "train.jsonl") + rows_of(here / "out" / "validation.jsonl")
    assert len(rows) == 24
    assert "labels.entailment" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("label", "--train", "train.jsonl"), "no --endpoint"),
        (("label", "--train", "train.jsonl", "--endpoint", "http://127.0.0.1:1/v1"), "no --model"),
        (("label", "--train", "absent.jsonl", "--endpoint", "http://127.0.0.1:1/v1", *ASKING), "No such file"),
        (("label", "--endpoint", "http://127.0.0.1:1/v1", *ASKING), "no store"),
        (
            ("label", "--train", "train.jsonl", "--where", "model=a", "--endpoint", "http://127.0.0.1:1/v1", *ASKING),
            "a file and a filter",
        ),
        (("label", "--train", "train.jsonl", "--task", "nlii"), "did you mean 'nli'"),
        (("label", "--train", "train.jsonl", "--task", "classification"), "--label with at least two"),
        (
            ("label", "--train", "train.jsonl", "--chain-of-thought", "--endpoint", "http://127.0.0.1:1/v1", *ASKING),
            "name a task",
        ),
        (("label", "--train", "train.jsonl", "--chain-of-thought", "--chain-of-density"), "two"),
        (("label", "--train", "train.jsonl", "--answer-form", "xml"), "schema, object, prompt"),
        (("generate", "poems"), "no such task"),
        (("generate", "math", "--topics", "absent.txt"), "absent.txt"),
        (("generate", "math", "--label", "a"), "none"),
        (("generate", "summarization", "--check", "--endpoint", "http://127.0.0.1:1/v1", *ASKING), "check"),
    ],
)
def test_what_is_refused(edgedistill: Call, here: Path, arguments: tuple[str, ...], message: str) -> None:
    ended = edgedistill("capture", *arguments, "--out", "out")
    assert ended.exit_code == 2
    assert message in ended.stderr
    assert not (here / "out").exists()
