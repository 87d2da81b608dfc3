"""A teacher makes up examples: enough, different, right, and the same after a kill."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from chat_server import ChatServer, serving
from chat_stub import FakeClock, Stub, last_text, refused, said

from edgedistill.capture.endpoint.address import Endpoint
from edgedistill.capture.endpoint.limits import LimitError, Limits
from edgedistill.capture.journal import rows_of
from edgedistill.capture.synthesis.generation import Generation, generate_examples, orders_of, request_body
from edgedistill.capture.synthesis.task import subjects, task_named
from edgedistill.errors import DataError, GateError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx2

    from edgedistill.capture.json_text import Json

TEACHER = Endpoint("http://teacher.example/v1", key_variable="", model="teacher-1")
MOODS = task_named("classification", labels=("glad", "sad"))
MATH = task_named("math")
SYLLABLES = ("ka", "lo", "mi", "ne", "pu", "ra", "si", "to", "vu", "ze", "bal", "den", "fir", "gom", "hus", "jat")


def invented(seed: str, count: int) -> list[dict[str, str]]:
    """Return texts that depend on the seed alone and are not alike."""
    return [{"text": words(f"{seed}:{index}")} for index in range(count)]


def words(seed: str) -> str:
    syllables = [SYLLABLES[int(digit, 16)] for digit in hashlib.sha256(seed.encode()).hexdigest()]
    return " ".join(first + second for first, second in zip(syllables[::2], syllables[1::2], strict=True))


class Teacher:
    """Makes up new texts whenever it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def examples(self) -> list[object]:
        self.calls += 1
        return list(invented(str(self.calls), 5))

    def __call__(self, _: dict[str, object]) -> httpx2.Response:
        return said({"examples": self.examples()})


def generate(
    folder: Path,
    reply: Callable[[dict[str, object]], httpx2.Response],
    *,
    limits: Limits | None = None,
    **options: Any,  # noqa: ANN401 - those of Generation
) -> tuple[Json, Stub]:
    stub = Stub(reply)
    made = generate_examples(
        Generation(**{"task": MOODS, "count": 40, **options}),
        endpoint=TEACHER,
        folder=folder,
        limits=limits or Limits(concurrency=2, retries=0),
        transport=stub.transport,
        clock=FakeClock(),
    )
    return made.summary, stub


def test_as_many_as_are_wanted_and_labels_in_turn(tmp_path: Path) -> None:
    summary, stub = generate(tmp_path / "out", Teacher())
    train, validation = rows_of(tmp_path / "out" / "train.jsonl"), rows_of(tmp_path / "out" / "validation.jsonl")
    assert len(train) + len(validation) == summary["examples"] == 40
    assert (len(stub.requests), summary["labels"], summary["wrong"]) == (8, {"glad": 20, "sad": 20}, {})
    row: Any = train[0]
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    assert row["messages"][2]["content"] in ("glad", "sad")
    pair: Any = rows_of(tmp_path / "out" / "pairs.jsonl")[0]
    assert set(pair["item"]) == {"text", "label", "set", "topic", "input"}
    assert json.loads((tmp_path / "out" / "summary.json").read_text("utf-8")) == summary


def test_a_request_says_what_it_is_to_bring() -> None:
    generation = Generation(task=MOODS, count=40, topics=("ships",), domain="All are about the sea.", per_request=3)
    order = orders_of(generation)(0)
    body = request_body(generation, order)
    messages: Any = body["messages"]
    for part in ("Write 3 texts", '"glad"', "glad, sad", "All are about the sea.", "Subject: ships.", order.manner):
        assert part in messages[1]["content"]
    assert "\n\n" not in request_body(Generation(task=MOODS, count=40), order)["messages"][1]["content"]  # type: ignore[index]
    assert body["temperature"] == 1.0


def test_each_topic_comes_with_each_label_before_any_comes_again() -> None:
    orders = orders_of(Generation(task=MOODS, count=40))
    topics, _ = subjects()
    first = [orders(number) for number in range(2 * len(topics))]
    assert {(order.topic, order.label) for order in first} == {(t, label) for t in topics for label in MOODS.labels}
    assert [orders(number) for number in range(2 * len(topics))] == first


def test_another_seed_is_another_order() -> None:
    orders = [[orders_of(Generation(task=MOODS, count=40, seed=seed))(n) for n in range(20)] for seed in (0, 1)]
    assert orders[0] != orders[1]


def test_duplicates_are_replaced(tmp_path: Path) -> None:
    teacher = Teacher()

    def repeating(_: dict[str, object]) -> httpx2.Response:
        return said({"examples": [{"text": words("the same")}, *teacher.examples()[1:]]})

    summary, stub = generate(tmp_path / "out", repeating)
    assert summary["examples"] == 40
    assert summary["too_alike"] >= 7  # type: ignore[operator]
    assert len(stub.requests) > 8
    texts = [pair["item"]["text"] for pair in rows_of(tmp_path / "out" / "pairs.jsonl")]  # type: ignore[index]
    assert len(set(texts)) == 40


def test_a_teacher_that_repeats_itself_is_given_up(tmp_path: Path) -> None:
    same = {"examples": invented("one", 5)}
    with pytest.raises(GateError, match=r"5 that differ and are right, of .* asked for.*--topics"):
        generate(tmp_path / "out", lambda _: said(same))
    # a smaller number can still be had without asking again
    with pytest.raises(InputError, match="from 10"):
        generate(tmp_path / "out", lambda _: said(same), count=5)


def test_more_can_be_had_later_and_less_without_asking(tmp_path: Path) -> None:
    teacher = Teacher()
    generate(tmp_path / "out", teacher)
    before = rows_of(tmp_path / "out" / "pairs.jsonl")
    _, stub = generate(tmp_path / "out", teacher, count=60)
    assert len(stub.requests) == 4
    after = {pair["id"] for pair in rows_of(tmp_path / "out" / "pairs.jsonl")}
    assert {pair["id"] for pair in before} <= after
    assert len(after) == 60
    summary, stub = generate(tmp_path / "out", teacher, count=10)
    assert (stub.requests, summary["examples"]) == ([], 10)


def test_what_is_wrong_is_counted_and_replaced(tmp_path: Path) -> None:
    teacher = Teacher()

    def half(_: dict[str, object]) -> httpx2.Response:
        return said({"examples": [*teacher.examples()[:3], {"text": ""}, "no object"]})

    summary, _ = generate(tmp_path / "out", half)
    assert summary["examples"] == 40
    assert summary["wrong"] == {"no text": summary["requests"] * 2}  # type: ignore[operator]


def test_failed_requests_are_a_gate(tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"10 failed, 10 of them: status 400: no; wanted at least 0.7 answered"):
        generate(tmp_path / "out", lambda _: refused(400, "no"), count=100)
    teacher = Teacher()

    def failing_once(body: dict[str, object]) -> httpx2.Response:
        answer = teacher(body)
        return refused(400, "no") if teacher.calls == 3 else answer

    summary, _ = generate(tmp_path / "out", failing_once, count=100)
    assert (summary["examples"], summary["failures"]) == (100, {"status 400: no": 1})


def test_checked_examples_are_those_that_the_teacher_answers_again(tmp_path: Path) -> None:
    numbers = iter(range(10**6))

    def reply(body: dict[str, object]) -> httpx2.Response:
        text = last_text(body)
        if "word problems" in text:
            made = []
            for n in (next(numbers) for _ in range(5)):
                question = f"{words(str(n))} has {n} and gets one more?"
                # every fifth has a wrong answer
                made.append({"question": question, "solution": "add", "answer": str(n + 1 + (n % 5 == 0))})
            return said({"examples": made})
        found = re.search(r"has (\d+)", text)
        assert found
        assert body["temperature"] == 0
        return said(f"one more\nAnswer: {int(found.group(1)) + 1}.0")

    summary, stub = generate(tmp_path / "out", reply, task=MATH, count=20, check=True)
    assert summary["examples"] == 20
    assert summary["checked"] is True
    assert summary["wrong"] == {"an answer that the teacher does not give again": len(stub.requests) // 6}
    for pair in rows_of(tmp_path / "out" / "pairs.jsonl"):
        item: Any = pair["item"]
        assert int(item["answer"]) == int(re.findall(r"has (\d+)", item["question"])[0]) + 1
    with pytest.raises(InputError, match="check"):
        generate(tmp_path / "talk", reply, task=task_named("conversation"), check=True)


def test_limits_keep_what_was_made(tmp_path: Path) -> None:
    teacher = Teacher()
    with pytest.raises(LimitError):
        generate(tmp_path / "out", teacher, limits=Limits(concurrency=1, max_requests=4))
    summary, stub = generate(tmp_path / "out", teacher, count=20, limits=Limits(concurrency=1, max_requests=4))
    assert (stub.requests, summary["examples"], summary["requests"]) == ([], 20, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 9}, "count"),
        ({"per_request": 0}, "per request"),
        ({"similarity": 0.0}, "similarity"),
        ({"validation_share": 1.0}, "validation share"),
    ],
)
def test_numbers_out_of_range(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        generate(tmp_path / "out", Teacher(), **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_is_for_one_job(tmp_path: Path) -> None:
    generate(tmp_path / "out", Teacher())
    with pytest.raises(DataError, match="another job: seed is 0, now 1"):
        generate(tmp_path / "out", Teacher(), seed=1)


# --- killed


def by_what_is_asked(body: dict[str, object]) -> str:
    """Answer the same to the same, whichever process asks."""
    return json.dumps({"examples": invented(last_text(body), 5)})


def start(folder: Path, address: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "edgedistill", "capture", "generate", "classification", "--out", "out"]
    options = ["--label", "glad", "--label", "sad", "--count", "100", "--endpoint", address, "--model", "m"]
    more = ["--key-variable", "", "--concurrency", "3", "--similarity", "0.9", "--json"]
    return subprocess.Popen([*command, *options, *more], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def result(process: subprocess.Popen[bytes]) -> Any:  # noqa: ANN401 - JSON
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    return json.loads(out)


def test_sigkill_and_again_is_the_same_as_in_one_go(tmp_path: Path) -> None:
    server = ChatServer(by_what_is_asked, delay_s=0.02)
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
    with serving(server) as address:
        process = start(tmp_path / "killed", address)
        for _ in range(10):
            assert server.arrived.acquire(timeout=60)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        asked_before = len(server.bodies)
        killed = result(start(tmp_path / "killed", address))
        asked = len(server.bodies)
        whole = result(start(tmp_path / "whole", address))
    assert 10 <= asked_before < whole["requests"] <= asked <= whole["requests"] + 3
    # written down before it is sent: what was killed in between counts as well
    assert asked <= killed["requests"] <= asked + 3
    for name in ("train.jsonl", "validation.jsonl", "pairs.jsonl"):
        killed_file, whole_file = (tmp_path / folder / "out" / name for folder in ("killed", "whole"))
        assert killed_file.read_bytes() == whole_file.read_bytes()
    assert killed["examples"] == 100
