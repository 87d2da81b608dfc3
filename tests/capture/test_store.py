"""The store: what goes in comes out, filtered and in order; what is deleted is nowhere; writers do not disturb."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedistill.capture import store as store_module
from edgedistill.capture.arrays import SMALL_BYTES
from edgedistill.capture.completion import Completion, Grade, Kind, chat_completion
from edgedistill.capture.filters import Filter
from edgedistill.capture.schema import DATABASE
from edgedistill.capture.store import Clash, Entry, Order, Store, open_store
from edgedistill.errors import DataError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edgedistill.capture.json_text import Json


def chat(
    number: int = 0,
    *,
    request: Json | None = None,
    metadata: dict[str, str] | None = None,
    **response: object,
) -> Completion:
    """Return a chat completion; `created` is 1000 + number."""
    asked = {"model": "teacher", "messages": [{"role": "user", "content": f"text {number}"}]}
    answered = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1000 + number,
        "model": "teacher-2026",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "positive"}}],
    }
    return chat_completion({**asked, **(request or {})}, {**answered, **response}, metadata=metadata)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as opened:
        yield opened


def names(found: Iterable[Completion]) -> list[str]:
    return [completion.id.removeprefix("chatcmpl-") for completion in found]


def test_what_goes_in_comes_out(store: Store) -> None:
    given = chat(1, metadata={"task": "sentiment"})
    assert store.add(given) == given.id
    assert store.get(given.id) == given
    assert list(store.iterate()) == [given]
    assert store.get("chatcmpl-2") is None


def test_it_is_there_after_closing(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.add(chat(1))
    with open_store(tmp_path / "store") as store:
        assert names(store.iterate()) == ["1"]


def test_only_its_owner_may_read_it(store: Store) -> None:
    assert store.folder.stat().st_mode & 0o077 == 0
    assert (store.folder / DATABASE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (Filter(), "1234"),
        (Filter(model="teacher"), "124"),
        (Filter(model="other-2026"), "3"),
        (Filter(metadata={"task": "a"}), "12"),
        (Filter(metadata={"task": "a", "split": "x"}), "1"),
        (Filter(metadata={"task": "x"}), ""),
        (Filter(created_after=1001), "234"),
        (Filter(created_before=1003), "12"),
        (Filter(created_after=1001, created_before=1003), "2"),
        (Filter(finish_reason="length"), "4"),
        (Filter(kind=Kind.CHAT), "1234"),
        (Filter(kind=Kind.PREDICTION), ""),
        (Filter(grader="g"), "12"),
        (Filter(grader="g", min_score=0.5), "1"),
        (Filter(min_score=0.5), "13"),
        (Filter(passed=False), "2"),
        (Filter(grader="h", passed=True), "3"),
        (Filter(grader="g", metadata={"task": "a"}, created_after=1001), "2"),
    ],
)
def test_filters(store: Store, chosen: Filter, expected: str) -> None:
    store.add(chat(1, metadata={"task": "a", "split": "x"}))
    store.add(chat(2, metadata={"task": "a", "split": "y"}))
    store.add(chat(3, request={"model": "other"}, model="other-2026"))
    store.add(chat(4, choices=[{"finish_reason": "length", "message": {"content": "cut"}}]))
    store.set_grade("chatcmpl-1", "g", score=0.5)
    store.set_grade("chatcmpl-2", "g", score=0.25, passed=False)
    store.set_grade("chatcmpl-3", "h", score=1.0, passed=True)
    assert names(store.iterate(chosen)) == list(expected)
    assert store.count(chosen) == len(expected)
    assert names(store.page(chosen, order=Order.NEWEST_FIRST).completions) == list(reversed(expected))


def test_pages_follow_each_other_in_both_orders(store: Store) -> None:
    # 7 and 8 are of the same second as 3: their order is that in which they were stored
    store.add_many([Entry(chat(number)) for number in (5, 1, 3)])
    store.add_many([Entry(chat(number, created=1003)) for number in (7, 8)])
    for order, expected in ((Order.OLDEST_FIRST, "13785"), (Order.NEWEST_FIRST, "58731")):
        found, after = [], None
        for _ in range(3):
            page = store.page(order=order, after=after, limit=2)
            found += page.completions
            after = page.completions[-1].id
        assert names(found) == list(expected)
        assert not page.has_more
        assert store.page(order=order, limit=4).has_more
        assert not store.page(order=order, limit=5).has_more


def test_iterating_reads_page_after_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "PAGE", 3)
    store.add_many([Entry(chat(number)) for number in range(10)])
    found = store.iterate()
    assert names([next(found)]) == ["0"]
    store.add(chat(11))
    store.delete(["chatcmpl-2", "chatcmpl-7"])  # 2 is the last of the first page
    assert names(found) == ["1", "2", "3", "4", "5", "6", "8", "9", "11"]


def test_a_cursor_that_is_not_there(store: Store) -> None:
    with pytest.raises(DataError, match="completion 'chatcmpl-9': not in the store"):
        store.page(after="chatcmpl-9")


def test_metadata_is_replaced(store: Store) -> None:
    store.add(chat(1, metadata={"a": "1", "b": "2"}))
    store.set_metadata("chatcmpl-1", {"b": "3"})
    assert store.get("chatcmpl-1") == chat(1, metadata={"b": "3"})
    assert store.count(Filter(metadata={"a": "1"})) == 0
    with pytest.raises(DataError, match="at most 512"):
        store.set_metadata("chatcmpl-1", {"b": "x" * 513})
    with pytest.raises(DataError, match="not in the store"):
        store.set_metadata("chatcmpl-2", {})


def test_grades_are_replaced_and_cleared(store: Store) -> None:
    store.add(chat(1))
    store.set_grade("chatcmpl-1", "g", score=1, passed=True)
    store.set_grade("chatcmpl-1", "g", score=0.5)
    store.set_grade("chatcmpl-1", "h", score=2, passed=False)
    found = store.get("chatcmpl-1")
    assert found is not None
    assert found.grades == {"g": Grade("g", 0.5, None), "h": Grade("h", 2.0, passed=False)}
    assert store.clear_grades("g") == 1
    assert store.count(Filter(grader="g")) == 0
    assert store.count(Filter(grader="h")) == 1


def test_grades_are_set_all_or_none(store: Store) -> None:
    store.add(chat(1))
    with pytest.raises(DataError, match="not in the store"):
        store.set_grades({"chatcmpl-1": Grade("g", 1.0), "chatcmpl-2": Grade("g", 1.0)})
    with pytest.raises(DataError, match="a finite number"):
        store.set_grade("chatcmpl-1", "g", score=float("nan"))
    assert store.count(Filter(grader="g")) == 0


def test_clashing_ids(store: Store) -> None:
    store.add(chat(1))
    with pytest.raises(DataError, match="it is in the store already"):
        store.add_many([Entry(chat(2)), Entry(chat(1))])
    assert store.count() == 1  # all or none
    assert store.add_many([Entry(chat(2)), Entry(chat(1))], clash=Clash.SKIP) == ["chatcmpl-2", None]
    (name,) = store.add_many([Entry(chat(1))], clash=Clash.RENAME)
    assert name is not None
    assert name.startswith("chatcmpl-")
    renamed = store.get(name)
    assert renamed is not None
    assert renamed.response["id"] == name
    assert store.count() == 3


# --- arrays

SMALL = np.arange(12, dtype=np.float32).reshape(3, 4)
LARGE = np.arange(SMALL_BYTES, dtype=np.uint8).reshape(2, -1)


def files(store: Store) -> list[Path]:
    return sorted(path for path in (store.folder / "arrays").rglob("*") if path.is_file())


def test_arrays_come_back_as_they_were(store: Store) -> None:
    store.add(chat(1), {"input": LARGE.T, "output": SMALL})
    found = store.get("chatcmpl-1")
    assert found is not None
    for name, expected in (("input", LARGE.T), ("output", SMALL)):
        array = store.array(found.arrays[name])
        assert array.dtype == expected.dtype
        assert (array == expected).all()
    assert len(files(store)) == 1


def test_an_array_is_kept_once_and_as_long_as_it_is_used(store: Store) -> None:
    store.add_many([Entry(chat(number), {"input": LARGE, "output": SMALL}) for number in range(3)])
    assert len(files(store)) == 1
    assert len(store.rows("SELECT * FROM array")) == 2
    store.delete(["chatcmpl-0", "chatcmpl-1"])
    assert len(files(store)) == 1
    store.delete(["chatcmpl-2"])
    assert files(store) == []
    assert store.rows("SELECT * FROM array") == []


def test_a_damaged_array_is_refused(store: Store) -> None:
    store.add(chat(1), {"input": LARGE})
    (path,) = files(store)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(DataError, match="damaged"):
        store.array(path.stem)
    path.unlink()
    with pytest.raises(DataError, match="No such file"):
        store.array(path.stem)


@pytest.mark.parametrize("name", ["../../secret", "", "0" * 64])
def test_no_name_reaches_another_file(store: Store, name: str) -> None:
    with pytest.raises(DataError, match="not in the store"):
        store.array(name)


def test_python_objects_are_no_numbers(store: Store) -> None:
    with pytest.raises(DataError, match="dtype object"):
        store.add(chat(1), {"input": np.array([{}])})


def test_a_file_that_its_writer_did_not_enter_is_swept(store: Store) -> None:
    stray = store.folder / "arrays" / "ab" / ("ab" * 32 + ".npy")
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"left by a writer that died")
    assert store.compact()
    assert files(store) == []


# --- deleting


def holds(store: Store, text: bytes) -> bool:
    return any(text in path.read_bytes() for path in store.folder.rglob("*") if path.is_file())


def secret(number: int) -> Completion:
    content = f"canary-{number} " * 400  # several pages of the database
    return chat(
        number, request={"messages": [{"role": "user", "content": content}]}, metadata={"k": f"canary-{number}"}
    )


def test_what_is_deleted_is_in_no_file(store: Store) -> None:
    store.add_many([Entry(secret(number)) for number in range(20)])
    assert holds(store, b"canary-7")
    assert store.delete(["chatcmpl-7", "chatcmpl-99"]) == (1, True)
    assert not holds(store, b"canary-7")
    assert holds(store, b"canary-8")
    assert store.count() == 19


def test_deleting_by_filter(store: Store) -> None:
    store.add_many([Entry(secret(number)) for number in range(20)])
    size = store.size_bytes()
    assert store.delete_matching(Filter(created_before=1019)) == (19, True)
    assert not holds(store, b"canary-3")
    assert names(store.iterate()) == ["19"]
    assert store.size_bytes() < size / 2
    for table in ("metadata", "grade", "array_use"):
        assert len(store.rows(f"SELECT * FROM {table}")) == (table == "metadata")  # noqa: S608


def test_deleting_while_somebody_reads_is_wiped_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "WIPE_TIMEOUT_MS", 50)
    with Store(store.folder) as other:
        other.add(secret(1))
        reader = sqlite3.connect(store.folder / DATABASE, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM completion").fetchall()
        assert other.delete(["chatcmpl-1"]) == (1, False)
        reader.execute("COMMIT")
        reader.close()
        assert other.delete([]) == (0, True)
        assert not holds(store, b"canary-1")


# --- what is no store, and what goes wrong


def test_opening_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no store of captured completions there"):
        open_store(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_text("no database " * 100)
    with pytest.raises(DataError, match="not a database"):
        open_store(tmp_path)


def test_a_database_of_somebody_else(tmp_path: Path) -> None:
    theirs = sqlite3.connect(tmp_path / DATABASE)
    theirs.execute("CREATE TABLE mine(a)")
    theirs.close()
    with pytest.raises(DataError, match="a database of another program"):
        open_store(tmp_path)


def test_a_store_of_a_later_version(store: Store) -> None:
    store._database.execute("PRAGMA user_version=99")
    with pytest.raises(DataError, match="format 99; wanted format 1"):
        open_store(store.folder)


def test_a_writer_that_never_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgedistill.capture.schema.BUSY_TIMEOUT_S", 0.05)
    with Store(store.folder) as other:
        store._database.execute("BEGIN IMMEDIATE")
        with pytest.raises(ResourceError, match="locked"):
            other.add(chat(1))
        store._database.execute("ROLLBACK")
        other.add(chat(1))
    assert names(store.iterate()) == ["1"]


def test_a_full_disk_loses_nothing(store: Store) -> None:
    store.add(chat(1))
    (pages,) = store.rows("PRAGMA page_count")[0]
    store._database.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(ResourceError, match="full"):
        store.add(secret(2))
    assert names(store.iterate()) == ["1"]


def test_many_threads_write_at_once(store: Store) -> None:
    def write(writer: int) -> None:
        with Store(store.folder) as mine:
            for number in range(20):
                mine.add(chat(100 * writer + number))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert store.count() == 80


def test_an_array_that_some_delete_while_others_store_it_is_never_missing(store: Store) -> None:
    missing = []

    def work(writer: int) -> None:
        with Store(store.folder) as mine:
            for number in range(15):
                name = mine.add(chat(100 * writer + number), {"input": LARGE})
                found = mine.get(name)
                try:
                    assert found is not None
                    mine.array(found.arrays["input"])
                except DataError as error:
                    missing.append(str(error))
                mine.delete([name])

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert missing == []
    assert store.count() == 0
    assert files(store) == []


def test_text_that_is_no_unicode(store: Store) -> None:
    half = "\ud800"
    message = {"role": "assistant", "content": half}
    given = chat(1, model=f"m{half}", choices=[{"finish_reason": half, "message": message}])
    store.add(given)
    found = store.get("chatcmpl-1")
    assert found is not None
    assert found.answer == half
    assert found.model == "m?"
    assert store.count(Filter(model=f"m{half}")) == 1
