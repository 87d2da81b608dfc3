"""Storing from a thread of its own; which answers; for how long."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from edgedistill.capture import writer as writer_module
from edgedistill.capture.completion import Completion, chat_completion
from edgedistill.capture.policy import Ask, Policy
from edgedistill.capture.retention import Retention, prune
from edgedistill.capture.store import Entry, Store
from edgedistill.capture.writer import Counts, Writer
from edgedistill.errors import InputError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as opened:
        yield opened


def chat(name: str, *, size: int = 1) -> Completion:
    message = {"role": "assistant", "content": "x" * size}
    return chat_completion({"messages": []}, {"id": name, "choices": [{"message": message}]})


def entries(*names: str) -> list[Entry]:
    return [Entry(chat(name)) for name in names]


# --- writer


def test_what_is_submitted_is_stored(store: Store) -> None:
    with Writer(store) as writer:
        done = [writer.submit(lambda name=name: entries(name, f"{name}2")) for name in "abc"]
        assert [future.result(20) for future in done] == [["a", "a2"], ["b", "b2"], ["c", "c2"]]
        assert store.count() == 6
        assert writer.counts == Counts(stored=6)


def test_closing_stores_what_waits(store: Store) -> None:
    writer = Writer(store)
    for number in range(300):
        writer.submit(lambda number=number: entries(f"{number}"))
    writer.close()
    writer.close()
    assert store.count() == 300
    assert writer.submit(lambda: entries("late")).result(0) == []
    assert writer.counts == Counts(stored=300, dropped=1)


def test_what_cannot_be_made_is_counted_and_not_told(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def raising() -> Sequence[Entry]:
        message = "the secret"
        raise ValueError(message)

    with Writer(store) as writer:
        assert writer.submit(raising).result(20) == []
        assert writer.submit(list).result(20) == []
        assert writer.submit(lambda: entries("a")).result(20) == ["a"]
        writer.flush()
        assert writer.counts == Counts(stored=1, skipped=1, failed=1)
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_one_that_cannot_be_stored_takes_no_other_with_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add_many = store.add_many

    def refusing(given: Sequence[Entry], **options: object) -> list[str | None]:
        if any(entry.completion.id == "bad" for entry in given):
            raise ValueError
        return add_many(given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "add_many", refusing)
    with Writer(store) as writer:
        assert writer.submit(lambda: entries("a", "bad", "b")).result(20) == ["a", None, "b"]
        assert writer.counts == Counts(stored=2, failed=1)


def test_a_store_that_cannot_be_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def full(given: Sequence[Entry], **_options: object) -> list[str | None]:
        calls.append(len(given))
        raise ResourceError("store", found="full")

    monkeypatch.setattr(store, "add_many", full)
    with Writer(store) as writer:
        assert writer.submit(lambda: entries("a", "b")).result(20) == [None, None]
        assert writer.counts == Counts(failed=2)
    assert calls == [2]


def test_what_comes_too_fast_is_dropped_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "QUEUE", 2)
    going = threading.Event()

    def slow() -> Sequence[Entry]:
        going.wait(20)
        return entries("slow")

    with Writer(store) as writer:
        writer.submit(slow)
        deadline = time.monotonic() + 20
        while not writer._waiting.empty() and time.monotonic() < deadline:
            time.sleep(0.001)
        done = [writer.submit(lambda name=name: entries(name)) for name in "abc"]
        assert done[2].result(0) == []
        going.set()
        assert [future.result(20) for future in done[:2]] == [["a"], ["b"]]
        assert writer.counts == Counts(stored=3, dropped=1)


def test_who_waits_may_give_up_but_not_cancel(store: Store) -> None:
    with Writer(store) as writer:
        done = writer.submit(lambda: entries("a"))
        assert not done.cancel()
        assert done.result(20) == ["a"]


# --- policy


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (Ask.REQUESTED, {True: True, False: False, None: False}),
        (Ask.ALWAYS, {True: True, False: False, None: True}),
        (Ask.NEVER, {True: False, False: False, None: False}),
    ],
)
def test_who_decides(ask: Ask, expected: dict[bool | None, bool]) -> None:
    assert {given: Policy(ask).wants(given) for given in expected} == expected


def test_a_share_is_drawn() -> None:
    policy = Policy(Ask.ALWAYS, 0.25, random.Random(3))  # noqa: S311 - seeded
    drawn = sum(policy.wants(None) for _ in range(4000))
    assert 900 < drawn < 1100  # 3.6 standard deviations
    assert sum(policy.wants(store=False) for _ in range(100)) == 0


@pytest.mark.parametrize("rate", [0, -1, 1.5, float("nan")])
def test_a_share_is_between_0_and_1(rate: float) -> None:
    with pytest.raises(InputError, match="sampling rate"):
        Policy(rate=rate)


# --- retention


def test_what_is_older_goes(store: Store) -> None:
    store.add_many(entries("a", "b"))
    now_s = time.time()
    assert prune(store, Retention(max_age_days=1), now_s=now_s + 3600).completions == 0
    assert prune(store, Retention(max_age_days=1), now_s=now_s + 90_000).completions == 2
    assert store.count() == 0


def test_what_is_too_much_goes_oldest_first(store: Store) -> None:
    for number in range(40):
        store.add(chat(f"{number}", size=10_000))
    limit = 300_000
    deleted = prune(store, Retention(max_bytes=limit))
    assert store.size_bytes() <= limit
    left = [completion.id for completion in store.iterate()]
    assert left == [f"{number}" for number in range(40)][-len(left) :]
    assert len(left) >= 15
    assert deleted.completions == 40 - len(left)
    assert prune(store, Retention(max_bytes=limit)).completions == 0


def test_a_limit_below_an_empty_store_leaves_nothing(store: Store) -> None:
    store.add_many(entries("a", "b"))
    assert prune(store, Retention(max_bytes=1)).completions == 2
    assert store.count() == 0


@pytest.mark.parametrize("limits", [{"max_age_days": 0}, {"max_age_days": float("nan")}, {"max_bytes": -1}])
def test_limits_are_positive(limits: dict[str, float]) -> None:
    with pytest.raises(InputError, match="greater than 0"):
        Retention(**limits)  # type: ignore[arg-type]
