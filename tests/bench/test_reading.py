"""Recordings from outside: read where they are whole, refused with the place where they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgedistill import bench
from edgedistill.bench.reading import recording_from_document, recordings_from_file, recordings_from_text
from edgedistill.bench.recording import Recording, recording_schema
from edgedistill.errors import DataError, UnsafeFileError

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLISHED = Path(bench.__file__).parent / "measurement.schema.json"


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(PUBLISHED.read_text("utf-8")) == recording_schema(), "run: make schema"


def test_a_recording_survives_being_written_and_read(document: dict[str, object]) -> None:
    (read,) = recordings_from_text(json.dumps(document), thing="it")
    again = json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))
    assert Recording.model_validate(again) == read
    assert again["schema"] == "edgedistill.bench/1"


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "importing\n{}\ndone\n",
        "11-24 02:40:01.123 I/bench(77): {{state}} {}\n",
        'tail {{"schema": 3}} {}',
        '{{"schema": "edgedistill.runner/1", "ok": true, "result": {}}}',
    ],
)
def test_a_recording_is_found_in_what_logs_and_runners_put_around_it(document: dict[str, object], around: str) -> None:
    found = recordings_from_text(around.format(json.dumps(document)), thing="it")
    assert [item.artifact.name for item in found] == ["small"]


def test_a_recording_is_found_as_android_writes_it(document: dict[str, object]) -> None:
    written = json.dumps(document).replace("/", "\\/")
    (found,) = recordings_from_text(f"I/EDGEDISTILL_BENCH: {written}\nanother line\n", thing="it")
    assert found.artifact.name == "small"


def test_every_line_of_a_file_is_read(document: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "phones.jsonl"
    path.write_text(f"{json.dumps(document)}\n{json.dumps(document)}\n")
    assert len(recordings_from_file(path)) == 2


@pytest.mark.parametrize("text", ["", "{}", "no JSON at all", '{"schema": "edgedistill.bench/2"}', "[1, 2]"])
def test_a_text_without_a_recording_says_what_is_wanted(text: str) -> None:
    with pytest.raises(DataError, match=r"no line with a JSON document of schema edgedistill\.bench/1"):
        recordings_from_text(text, thing="it")


def change(document: dict[str, object], place: str, value: object) -> dict[str, object]:
    *path, last = place.split(".")
    inner = document
    for name in path:
        inner = inner[int(name) if name.isdigit() else name]
    inner[last] = value
    return document


@pytest.mark.parametrize(
    ("place", "value", "found"),
    [
        ("processes.0.samples_ns", [1000, 0], r"processes\.0\.samples_ns\.1: Input should be greater than 0"),
        ("processes.0.samples_ns", [1.5], r"samples_ns\.0: Input should be a valid integer"),
        ("processes.0.samples_ns", ["7"], r"samples_ns\.0: Input should be a valid integer"),
        ("processes.0.samples_ns", [], "samples_ns: Tuple should have at least 1 item"),
        ("processes", [], "processes: Tuple should have at least 1 item"),
        ("processes.0.frames", 3, r"processes\.0\.frames: Extra inputs are not permitted"),
        ("device.execution", "simulated", r"device\.execution: Input should be 'device', 'host' or 'emulated'"),
        ("artifact.model_sha256", "abc", r"artifact\.model_sha256: String should match"),
        ("artifact.name", "x" * 1001, r"artifact\.name: String should have at most 1000"),
        ("started", "2026-11-24T02:40:00", "started: Input should have timezone info"),
        ("verified.largest_steps", 2.0, "golden outputs differ by more than the artifact allows"),
        ("device.ambient_c", float("nan"), r"device\.ambient_c"),
    ],
)
def test_what_the_schema_does_not_allow_is_refused_with_its_place(
    document: dict[str, object], place: str, value: object, found: str
) -> None:
    with pytest.raises(DataError, match=found):
        recording_from_document(change(document, place, value), thing="it")


TRACE = {"quantity": "temperature_c", "sensor": "zone0", "at_ns": [0, 5], "values": [41.0, 42.0]}


@pytest.mark.parametrize(
    ("changes", "found"),
    [({"values": [41.0]}, "2 instants and 1 values"), ({"at_ns": [5, 0]}, "instants that go back in time")],
)
def test_a_trace_has_one_value_for_each_instant_in_order(
    document: dict[str, object], changes: dict[str, object], found: str
) -> None:
    document["processes"][0]["traces"] = [TRACE]
    recording_from_document(document, thing="it")
    document["processes"][0]["traces"] = [{**TRACE, **changes}]
    with pytest.raises(DataError, match=found):
        recording_from_document(document, thing="it")


def test_many_problems_are_counted_and_not_all_listed(document: dict[str, object]) -> None:
    document["processes"][0]["samples_ns"] = [0] * 10
    with pytest.raises(DataError, match=r"and \d more; wanted schema"):
        recording_from_document(document, thing="it")


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: dict[str, object]
) -> None:
    monkeypatch.setattr("edgedistill.bench.reading.LARGEST_BYTES", 100)
    path = tmp_path / "m.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UnsafeFileError, match="at most 100"):
        recordings_from_file(path)


def test_a_file_that_is_not_there_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        recordings_from_file(tmp_path / "m.json")


def test_braces_without_end_are_given_up() -> None:
    with pytest.raises(DataError, match="no line with a JSON document"):
        recordings_from_text("{" * 100_000 + "edgedistill.bench/1", thing="it")


def test_the_fixture_is_what_the_schema_calls_complete(document_of: Callable[..., dict[str, object]]) -> None:
    assert set(document_of()) <= set(recording_schema()["properties"])
