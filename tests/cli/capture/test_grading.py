"""`capture grade` and `capture grades`: a file, a store, a gate, the history."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from chat_server import ChatServer, serving

from edgedistill.capture.completion import chat_completion
from edgedistill.capture.store import Entry, Store

if TYPE_CHECKING:
    from pathlib import Path

Call = Callable[..., Any]
CHECK = {
    "type": "string_check",
    "name": "says-yes",
    "input": "{{sample.output_text}}",
    "reference": "yes",
    "operation": "ilike",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "check.json").write_text(json.dumps(CHECK), "utf-8")
    rows = [{"item": {"q": n}, "sample": {"output_text": "Yes." if n % 4 else "No."}} for n in range(8)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return tmp_path


@pytest.fixture
def store(here: Path) -> Path:
    with Store(here / "captured") as opened:
        for n in range(4):
            request = {"model": "teacher", "messages": [{"role": "user", "content": f"is {n} even?"}]}
            message = {"role": "assistant", "content": "no" if n % 2 else "yes"}
            response = {"id": f"c-{n}", "choices": [{"finish_reason": "stop", "message": message}]}
            opened.add_many([Entry(chat_completion(request, response, metadata={"split": "test" if n else "train"}))])
    return here / "captured"


def test_a_file(edgedistill: Call, here: Path) -> None:
    ended = edgedistill("capture", "grade", "check.json", "--data", "data.jsonl")
    assert ended.exit_code == 0, ended.stderr
    assert "6 of 8 pass: 75.0 %" in ended.stdout
    (folder,) = (here / "grades").iterdir()
    assert f"report: grades/{folder.name}/report.html" in ended.stdout
    assert sorted(path.name for path in folder.iterdir()) == [
        "outcomes.jsonl",
        "report.html",
        "run.json",
        "samples.jsonl",
    ]


def test_json(edgedistill: Call, here: Path) -> None:
    found = edgedistill("capture", "grade", "check.json", "--data", "data.jsonl", "--json").document()
    assert (found["pass_rate"], found["counts"]["failed"], found["state"]) == (0.75, 2, "completed")
    assert (here / found["folder"] / "report.html").exists()


def test_a_store_is_graded_and_filtered_by_its_grades(edgedistill: Call, store: Path) -> None:
    ended = edgedistill("capture", "grade", "check.json", "--where", "metadata.split=test")
    assert ended.exit_code == 0, ended.stderr
    assert "1 of 3 pass: 33.3 %" in ended.stdout
    found = edgedistill("capture", "list", "--where", "grader=says-yes", "--where", "passed=true", "--json").document()
    assert [completion["id"] for completion in found["completions"]] == ["c-2"]
    # what is deleted from the store must not live on in the history
    (folder,) = (store.parent / "grades").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["outcomes.jsonl", "report.html", "run.json"]
    assert not any("is 2 even?" in path.read_text("utf-8") for path in folder.iterdir())
    assert "grades report" in ended.stdout


def test_a_gate(edgedistill: Call, here: Path) -> None:
    ended = edgedistill("capture", "grade", "check.json", "--data", "data.jsonl", "--min-pass-rate", "0.8")
    assert ended.exit_code == 3
    assert "pass rate: 0.7500; wanted at least 0.8" in ended.stderr
    assert "6 of 8 pass" in ended.stdout
    assert (
        edgedistill("capture", "grade", "check.json", "--data", "data.jsonl", "--min-pass-rate", "0.75").exit_code == 0
    )
    python = {"type": "python", "source": "def grade(sample, item): return 1"}
    (here / "python.json").write_text(json.dumps(python), "utf-8")
    ended = edgedistill(
        "capture", "grade", "python.json", "--data", "data.jsonl", "--allow-python", "--min-pass-rate", "0"
    )
    assert ended.exit_code == 3
    assert "no grader of the definition has a threshold" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent.json", "--data", "data.jsonl"), "No such file"),
        (("check.json", "--data", "absent.jsonl"), "No such file"),
        (("check.json",), "no store of captured completions"),
        (("check.json", "--data", "data.jsonl", "--where", "model=a"), "a file and a filter"),
        (("check.json", "--data", "data.jsonl", "--answer-form", "xml"), "schema, object, prompt"),
        (("check.json", "--data", "data.jsonl", "--endpoint", "nowhere"), "no http address"),
        (("python.json", "--data", "data.jsonl"), "--allow-python"),
    ],
)
def test_what_is_refused(edgedistill: Call, here: Path, arguments: tuple[str, ...], message: str) -> None:
    (here / "python.json").write_text(json.dumps({"type": "python", "source": "def grade(s, i): return 1"}), "utf-8")
    ended = edgedistill("capture", "grade", *arguments)
    assert ended.exit_code == 2
    assert message in ended.stderr
    assert ended.stdout == ""


def test_a_judge_and_its_key(edgedistill: Call, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-canary-42")
    judge = {
        "type": "label_model",
        "name": "polite",
        "model": "gpt-4o",
        "input": [{"role": "user", "content": "{{sample.output_text}}"}],
        "labels": ["polite", "rude"],
        "passing_labels": ["polite"],
    }
    (here / "judge.json").write_text(json.dumps(judge), "utf-8")
    server = ChatServer(lambda _: json.dumps({"steps": [], "result": "polite"}))
    with serving(server) as address:
        ended = edgedistill(
            "capture", "grade", "judge.json", "--data", "data.jsonl", "--endpoint", address,
            "--key-variable", "MY_KEY", "--model", "local",
        )  # fmt: skip
    assert ended.exit_code == 0, ended.stderr
    assert "8 requests, 96 tokens" in ended.stdout
    assert {headers["authorization"] for headers in server.headers} == {"Bearer sk-canary-42"}
    assert {body["model"] for body in server.bodies} == {"local"}
    written = [path.read_bytes() for path in here.rglob("*") if path.is_file()]
    assert not any(b"sk-canary-42" in content for content in written)


def test_the_history(edgedistill: Call, here: Path) -> None:
    assert "no runs in 'grades'" in edgedistill("capture", "grades").stdout
    first = edgedistill("capture", "grade", "check.json", "--data", "data.jsonl", "--json").document()["id"]
    rows = [{"item": {"q": n}, "sample": {"output_text": "Yes." if n else "No."}} for n in range(8)]
    (here / "data.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    second = edgedistill("capture", "grade", "check.json", "--data", "data.jsonl", "--json").document()["id"]
    lines = edgedistill("capture", "grades").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["run", first, second]
    assert [run["id"] for run in edgedistill("capture", "grades", "--json").document()] == [first, second]
    assert edgedistill("capture", "grades", "show", first, "--json").document()["pass_rate"] == 0.75
    assert "87.5 %" in edgedistill("capture", "grades", "show", "last").stdout
    compared = edgedistill("capture", "grades", "compare", "last", first)
    assert "1 pass now and did not, 0 passed and do not" in compared.stdout
    assert edgedistill("capture", "grades", "compare", "last", first, "--json").document()["better"] == ["row-5"]
    path = edgedistill("capture", "grades", "report", "last", "--against", first, "--json").document()["report"]
    assert "Comparison" in (here / path).read_text("utf-8")
    assert edgedistill("capture", "grades", "show", "absent").exit_code == 2


def test_the_report_of_a_graded_store_takes_the_text_from_there(edgedistill: Call, store: Path) -> None:
    edgedistill("capture", "grade", "check.json")
    path = edgedistill("capture", "grades", "report", "last", "--store", store, "--json").document()["report"]
    assert "is 2 even?" in (store.parent / path).read_text("utf-8")


def test_a_run_asks_its_model_and_then_the_judge(edgedistill: Call, here: Path) -> None:
    run = {
        "data_source": {
            "type": "completions",
            "source": {"type": "file_content", "content": [{"item": {"q": n}} for n in range(4)]},
            "input_messages": {"type": "template", "template": [{"role": "user", "content": "Is {{item.q}} even?"}]},
            "model": "gpt-4.1-mini",
        }
    }
    (here / "run.json").write_text(json.dumps(run), "utf-8")
    server = ChatServer(lambda body: "yes" if "0 even" in str(body) or "2 even" in str(body) else "no")
    with serving(server) as address:
        ended = edgedistill(
            "capture", "grade", "check.json", "--run", "run.json", "--endpoint", address, "--key-variable", ""
        )
        other = edgedistill(
            "capture", "grade", "check.json", "--run", "run.json", "--answer-endpoint", address, "--answer-model",
            "student", "--key-variable", "", "--json",
        ).document()  # fmt: skip
    assert ended.exit_code == 0, ended.stderr
    assert "2 of 4 pass: 50.0 %" in ended.stdout
    assert [body["model"] for body in server.bodies] == ["gpt-4.1-mini"] * 4 + ["student"] * 4
    assert other["answered_by"] == f"student at {address}"
    # nothing but the two runs is left in the history
    assert len(list((here / "grades").iterdir())) == 2


def test_a_run_over_the_store(edgedistill: Call, store: Path) -> None:
    source = {"type": "stored_completions", "metadata": {"split": "test"}, "limit": 2}
    (store.parent / "run.json").write_text(
        json.dumps({"data_source": {"type": "completions", "source": source}}), "utf-8"
    )
    ended = edgedistill("capture", "grade", "check.json", "--run", "run.json", "--json")
    assert ended.document()["samples"] == 2
    found = edgedistill("capture", "list", "--where", "grader=says-yes", "--json").document()
    assert found["matching"] == 2
    asking = {"type": "item_reference", "item_reference": "item.input"}
    asked = {"data_source": {"type": "completions", "source": source, "input_messages": asking, "model": "m"}}
    (store.parent / "run.json").write_text(json.dumps(asked), "utf-8")
    assert "--endpoint" in edgedistill("capture", "grade", "check.json", "--run", "run.json").stderr
    with serving(ChatServer(lambda _: "yes")) as address:
        options = ("--run", "run.json", "--endpoint", address, "--key-variable", "", "--json")
        assert edgedistill("capture", "grade", "check.json", *options).document()["pass_rate"] == 1.0
    # the grades are of new answers, not of those in the store
    shown = edgedistill("capture", "list", "--where", "grader=says-yes", "--where", "passed=true", "--json").document()
    assert [completion["id"] for completion in shown["completions"]] == ["c-2"]


def test_a_run_with_a_file_of_the_service(edgedistill: Call, here: Path) -> None:
    run = {"data_source": {"type": "jsonl", "source": {"type": "file_id", "id": "file-123"}}}
    (here / "run.json").write_text(json.dumps(run), "utf-8")
    ended = edgedistill("capture", "grade", "check.json", "--run", "run.json")
    assert ended.exit_code == 2
    assert "file 'file-123' of the service. download it and name it by --data" in ended.stderr
    ended = edgedistill("capture", "grade", "check.json", "--run", "run.json", "--data", "data.jsonl")
    assert "6 of 8 pass" in ended.stdout
