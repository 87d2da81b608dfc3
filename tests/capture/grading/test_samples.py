"""Rows become samples with the names that graders know."""

from __future__ import annotations

import pytest

from edgedistill.capture.grading.samples import Sample, completed, fingerprint, samples_from_rows
from edgedistill.errors import DataError


def test_pairs() -> None:
    rows: list[dict[str, object]] = [
        {"item": {"a": 1}, "sample": {"output_text": "x"}},
        {"id": "mine", "item": {"a": 2}, "sample": "y"},
        {"datasource_item": {"a": 3}, "sample": {"output": [{"role": "assistant", "content": "z"}]}},
        {"item": {"a": 4}, "model_sample": "0.9"},
        {"a": 5},
    ]
    samples = samples_from_rows(rows, thing="rows")
    assert [sample.id for sample in samples] == ["row-1", "mine", "row-3", "row-4", "row-5"]
    assert [sample.item for sample in samples] == [{"a": n} for n in range(1, 6)]
    assert [sample.sample.get("output_text") for sample in samples] == ["x", "y", "z", "0.9", None]


def test_a_completion_is_a_sample() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    full = completed({"choices": [{"message": message}]})
    assert full["output_tools"] == [call]
    assert "output_text" not in full
    full = completed({"choices": [{"message": {"content": '{"name": "John"}'}}]})
    assert (full["output_text"], full["output_json"]) == ('{"name": "John"}', {"name": "John"})


def test_what_is_given_is_not_replaced() -> None:
    full = completed({"output_text": "{}", "output_json": {"a": 1}, "output_tools": ["t"]})
    assert (full["output_json"], full["output_tools"]) == ({"a": 1}, ["t"])


@pytest.mark.parametrize("text", ["plain", "7", '"text"', "{broken", ""])
def test_what_is_no_json_object_or_list_is_none(text: str) -> None:
    assert "output_json" not in completed({"output_text": text})


@pytest.mark.parametrize("row", [{"item": [], "sample": {}}, {"item": {}, "sample": 7}, {"item": None, "sample": {}}])
def test_rows_that_are_none(row: dict[str, object]) -> None:
    with pytest.raises(DataError, match="rows, row 1"):
        samples_from_rows([row], thing="rows")


def test_ids_differ() -> None:
    with pytest.raises(DataError, match="'a' on two rows"):
        samples_from_rows([{"id": "a", "item": {}}, {"id": "a", "item": {}}], thing="rows")


def test_the_fingerprint_is_of_content_and_order() -> None:
    one, two = Sample("a", {"x": 1, "y": 2}, {}), Sample("b", {}, {})
    assert fingerprint([one, two]) == fingerprint([Sample("a", {"y": 2, "x": 1}, {}), two])
    assert fingerprint([one, two]) != fingerprint([two, one])
