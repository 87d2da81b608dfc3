"""A teacher labels two sets: paced, counted, resumed, refused where too little comes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from chat_server import ChatServer, serving
from chat_stub import FakeClock, Stub, last_text, refused, said

from edgedistill.capture.endpoint.address import Endpoint
from edgedistill.capture.endpoint.client import EndpointError
from edgedistill.capture.endpoint.forms import AnswerForm
from edgedistill.capture.endpoint.limits import LimitError, Limits
from edgedistill.capture.journal import rows_of
from edgedistill.capture.synthesis.answers import Reasoning, Thought
from edgedistill.capture.synthesis.labelling import Labelling, label_sets, request_body
from edgedistill.capture.synthesis.prompts import Sets, prompts_from_rows, split_sets
from edgedistill.capture.synthesis.task import task_named
from edgedistill.errors import DataError, GateError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx2

    from edgedistill.capture.json_text import Json

TEACHER = Endpoint("http://teacher.example/v1", key_variable="", model="teacher-1")
NLI = task_named("nli")
MATH = task_named("math")
ONE = Limits(concurrency=1, retries=0)


def sets(train: int = 12, validation: int = 3, *, gold: bool = False) -> Sets:
    rows: list[Json] = [{"text": str(n), **({"label": str(n * n)} if gold else {})} for n in range(train + validation)]
    prompts = prompts_from_rows(rows, task=None, thing="rows")
    return split_sets(prompts[:train], prompts[train:], share=0)


def squared(body: dict[str, object]) -> httpx2.Response:
    return said(str(int(last_text(body)) ** 2))


def label(
    folder: Path,
    reply: Callable[[dict[str, object]], httpx2.Response] = squared,
    *,
    given: Sets | None = None,
    labelling: Labelling | None = None,
    limits: Limits = ONE,
) -> tuple[Json, Stub]:
    stub = Stub(reply)
    labelled = label_sets(
        given or sets(),
        endpoint=TEACHER,
        folder=folder,
        labelling=labelling,
        limits=limits,
        transport=stub.transport,
        clock=FakeClock(),
    )
    return labelled.summary, stub


def test_both_sets_are_labelled(tmp_path: Path) -> None:
    summary, stub = label(tmp_path / "out", given=sets(gold=True))
    train, validation = rows_of(tmp_path / "out" / "train.jsonl"), rows_of(tmp_path / "out" / "validation.jsonl")
    assert train[3] == {"messages": [{"role": "user", "content": "3"}, {"role": "assistant", "content": "9"}]}
    assert [row["messages"][1]["content"] for row in validation] == ["144", "169", "196"]  # type: ignore[index]
    pairs = rows_of(tmp_path / "out" / "pairs.jsonl")
    assert len(pairs) == 15
    assert pairs[3]["item"] == {
        "text": "3", "label": "9", "set": "train", "gold": "9", "input": [{"role": "user", "content": "3"}],
    }  # fmt: skip
    assert pairs[3]["sample"]["output_text"] == "9"  # type: ignore[index]
    assert {body["model"] for body in stub.bodies} == {"teacher-1"}
    assert (summary["labelled"], summary["success_ratio"], summary["rows"]) == (15, 1.0, {"train": 12, "validation": 3})
    assert (summary["gold"], summary["agrees_with_gold"]) == (15, 15)
    assert (summary["requests"], summary["tokens"], summary["teacher"]) == (15, 180, ["judge-1"])
    assert summary["warnings"] == ["12 training rows are few: several hundred are advised"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text("utf-8")) == summary


def test_done_is_done(tmp_path: Path) -> None:
    first, _ = label(tmp_path / "out")
    second, stub = label(tmp_path / "out")
    assert stub.requests == []
    assert second == first


def test_what_failed_is_asked_again_and_nothing_else(tmp_path: Path) -> None:
    _, first = label(tmp_path / "out", lambda body: refused(400, "no") if last_text(body) == "7" else squared(body))
    summary, second = label(tmp_path / "out")
    assert len(first.requests) == 15
    assert [last_text(body) for body in second.bodies] == ["7"]
    assert (summary["labelled"], summary["requests"], summary["failures"]) == (15, 16, {})


def test_enough_is_enough(tmp_path: Path) -> None:
    labelling = Labelling(min_success_ratio=0.8)
    summary, _ = label(
        tmp_path / "out",
        lambda b: refused(400, "no") if int(last_text(b)) % 5 == 0 else squared(b),
        labelling=labelling,
    )
    assert (summary["labelled"], summary["success_ratio"]) == (12, 0.8)
    assert summary["failures"] == {"status 400: no": 3}
    assert summary["rows"] == {"train": 9, "validation": 3}


def test_too_few_is_a_gate_and_stops_early(tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"5 failed, 5 of them: status 400: no; wanted at least 0.7.*stopped early"):
        label(tmp_path / "out", lambda _: refused(400, "no"))
    assert not (tmp_path / "out" / "train.jsonl").exists()
    # what is labelled was kept
    assert sum("failure" in row for row in rows_of(tmp_path / "out" / "answers.jsonl")) == 5
    summary, stub = label(tmp_path / "out")
    assert (summary["labelled"], len(stub.requests)) == (15, 15)


@pytest.mark.parametrize(("ratio", "allowed"), [(1.0, 0), (0.7, 3), (0.0, 10)])
def test_the_ratio_is_exact(tmp_path: Path, ratio: float, allowed: int) -> None:
    given, labelling = sets(10, 0), Labelling(min_success_ratio=ratio)

    def failing(count: int) -> Callable[[dict[str, object]], httpx2.Response]:
        return lambda body: refused(400) if int(last_text(body)) < count else squared(body)

    summary, _ = label(tmp_path / "enough", failing(allowed), given=given, labelling=labelling)
    assert summary["labelled"] == 10 - allowed
    if allowed < 10:
        with pytest.raises(GateError):
            label(tmp_path / "few", failing(allowed + 1), given=given, labelling=labelling)


def test_limits_hold_over_all_parts_of_a_job(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(LimitError, match="limit of 6 requests: 6 are used"):
            label(tmp_path / "out", limits=Limits(concurrency=1, max_requests=6))
    with pytest.raises(LimitError, match="limit of 100 tokens: 108 are used"):
        label(tmp_path / "out", limits=Limits(concurrency=1, max_tokens=100))
    summary, stub = label(tmp_path / "out", limits=Limits(concurrency=1, max_tokens=180))
    assert (len(stub.requests), summary["requests"], summary["tokens"]) == (6, 15, 180)


def test_a_teacher_that_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="no such model"):
        label(tmp_path / "out", lambda _: refused(404, "no such model"))


def test_a_folder_is_for_one_job(tmp_path: Path) -> None:
    label(tmp_path / "out")
    with pytest.raises(DataError, match="another job: sampling is"):
        label(tmp_path / "out", labelling=Labelling(sampling={"temperature": 0}))
    with pytest.raises(DataError, match="another job: prompts is"):
        label(tmp_path / "out", given=sets(13))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(DataError, match="files that are not ours"):
        label(tmp_path / "mine")


def test_reasoning_can_be_stripped_afterwards_without_asking_again(tmp_path: Path) -> None:
    thinking = lambda body: said(f"<think>{last_text(body)} squared</think>{int(last_text(body)) ** 2}")  # noqa: E731
    label(tmp_path / "out", thinking)
    kept = rows_of(tmp_path / "out" / "train.jsonl")[3]["messages"][1]["content"]  # type: ignore[index]
    assert kept == "<think>3 squared</think>9"
    _, stub = label(tmp_path / "out", thinking, labelling=Labelling(reasoning=Reasoning.STRIP))
    assert stub.requests == []
    content = (tmp_path / "out" / "train.jsonl").read_text("utf-8")
    assert rows_of(tmp_path / "out" / "train.jsonl")[3]["messages"][1]["content"] == "9"  # type: ignore[index]
    assert "think" not in content
    assert "think" not in (tmp_path / "out" / "pairs.jsonl").read_text("utf-8")


def test_a_chain_of_thought_changes_what_the_teacher_is_asked_and_not_what_the_student_learns(tmp_path: Path) -> None:
    rows: list[Json] = [
        {"premise": f"{n} trains left.", "hypothesis": "A train left.", "label": "entailment"} for n in range(12)
    ]
    given = split_sets(prompts_from_rows(rows, task=NLI, thing="rows"), [], share=0)
    answer = {"reasoning": ["some left", "so one did"], "answer": "Entailment"}
    labelling = Labelling(task=NLI, thought=Thought.CHAIN_OF_THOUGHT, reasoning=Reasoning.STRIP)
    summary, stub = label(tmp_path / "out", lambda _: said(answer), given=given, labelling=labelling)
    asked = stub.bodies[0]["messages"]
    assert isinstance(asked, list)
    assert "steps" in asked[0]["content"]
    assert stub.bodies[0]["response_format"]["json_schema"]["schema"]["required"] == ["reasoning", "answer"]  # type: ignore[index]
    row = rows_of(tmp_path / "out" / "train.jsonl")[0]
    assert row["messages"] == [*given.train[0].messages, {"role": "assistant", "content": "entailment"}]
    assert (summary["labels"], summary["agrees_with_gold"]) == ({"entailment": 12}, 12)
    assert "some left" not in (tmp_path / "out" / "train.jsonl").read_text("utf-8")


def test_what_is_no_label_is_a_failure(tmp_path: Path) -> None:
    task = task_named("classification", labels=("even", "odd"))
    rows: list[Json] = [{"text": str(n)} for n in range(20)]
    given = split_sets(prompts_from_rows(rows, task=task, thing="rows"), [], share=0)
    answers = {"3": "Odd, I think.", "4": "EVEN."}
    summary, _ = label(
        tmp_path / "out", lambda b: said(answers.get(last_text(b), "odd")), given=given, labelling=Labelling(task=task)
    )
    assert summary["labels"] == {"even": 1, "odd": 18}
    assert summary["failures"] == {"'Odd, I think.' is no label": 1}


def test_density_asks_for_summaries_in_turn() -> None:
    task = task_named("summarization", max_words=20)
    (prompt,) = prompts_from_rows([{"document": "long"}], task=task, thing="rows")
    body = request_body(prompt, Labelling(task=task, thought=Thought.CHAIN_OF_DENSITY, form=AnswerForm.PROMPT))
    messages = body["messages"]
    assert isinstance(messages, list)
    assert "20 words" in messages[0]["content"]
    assert "earlier summaries" in messages[-1]["content"]


def test_log_probabilities_are_asked_for_and_kept(tmp_path: Path) -> None:
    logprobs = {"content": [{"token": "9", "logprob": -0.1, "top_logprobs": []}]}
    labelling = Labelling(top_logprobs=5, sampling={"temperature": 0})
    _, stub = label(tmp_path / "out", lambda _: said("9", logprobs=logprobs), labelling=labelling)
    assert (stub.bodies[0]["logprobs"], stub.bodies[0]["top_logprobs"], stub.bodies[0]["temperature"]) == (True, 5, 0)
    pair: Any = rows_of(tmp_path / "out" / "pairs.jsonl")[0]
    assert pair["sample"]["choices"][0]["logprobs"] == logprobs


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="9 different prompts; wanted at least 10"):
        label(tmp_path / "out", given=sets(9))
    for labelling in (
        Labelling(thought=Thought.CHAIN_OF_THOUGHT),
        Labelling(thought=Thought.CHAIN_OF_THOUGHT, task=task_named("conversation")),
        Labelling(thought=Thought.CHAIN_OF_DENSITY, task=NLI),
    ):
        with pytest.raises(InputError, match=str(labelling.thought)):
            label(tmp_path / "out", labelling=labelling)
    assert not (tmp_path / "out").exists()


# --- killed


def start(folder: Path, address: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "edgedistill", "capture", "label", "--train", "prompts.jsonl", "--out", "out"]
    options = ["--endpoint", address, "--model", "m", "--key-variable", "", "--concurrency", "4", "--json"]
    return subprocess.Popen([*command, *options], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def result(process: subprocess.Popen[bytes]) -> Any:  # noqa: ANN401 - JSON
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    return json.loads(out)


def test_sigkill_and_again_is_the_same_as_in_one_go(tmp_path: Path) -> None:
    server = ChatServer(lambda body: str(int(last_text(body)) ** 2), delay_s=0.02)
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
        rows = [json.dumps({"text": str(n)}) for n in range(40)]
        (tmp_path / name / "prompts.jsonl").write_text("\n".join(rows), "utf-8")
    with serving(server) as address:
        process = start(tmp_path / "killed", address)
        for _ in range(15):
            assert server.arrived.acquire(timeout=60)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        asked_before = len(server.bodies)
        killed = result(start(tmp_path / "killed", address))
        asked = len(server.bodies)
        result(start(tmp_path / "whole", address))
    assert 15 <= asked_before < 40
    # asked twice is only what was under way when it was killed
    assert 40 <= asked <= 40 + 4
    # written down before it is sent: what was killed in between counts as well
    assert asked <= killed["requests"] <= asked + 4
    for name in ("train.jsonl", "validation.jsonl"):
        killed_file, whole_file = (tmp_path / folder / "out" / name for folder in ("killed", "whole"))
        assert killed_file.read_bytes() == whole_file.read_bytes()
    assert (tmp_path / "killed" / "out" / "train.jsonl").read_text("utf-8").count("\n") == killed["rows"]["train"] > 30
