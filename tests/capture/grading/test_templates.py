"""Templates say what goes in, and nothing that goes in is read as a template again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.capture.grading.definitions import DefinitionError
from edgedistill.capture.grading.templates import MissingValueError, parsed_template, rendered

NAMES: dict[str, object] = {
    "item": {
        "text": "hello",
        "number": 1.0,
        "whole": 3,
        "truth": True,
        "nothing": None,
        "list": ["a", {"b": "ä"}],
        "with-dash": "dash",
        "with space": "space",
        "inner": {"answer": "42"},
    },
    "sample": {
        "output_text": "hi {{ item.text }}",
        "output_tools": [{"function": {"name": "look_up", "arguments": '{"a": 1}'}}],
        "output_json": {"name": "John"},
    },
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("plain { } text", "plain { } text"),
        ("{{item.text}}", "hello"),
        ("{{ item.text }}", "hello"),
        ("{{  item.text\n}}!", "hello!"),
        ("a {{item.text}} b {{ item.inner.answer }}", "a hello b 42"),
        ("{{ item.number }} {{ item.whole }} {{ item.truth }} {{ item.nothing }}", "1.0 3 true null"),
        ("{{ item.list }}", '["a",{"b":"ä"}]'),
        ("{{ item.list[1].b }}", "ä"),
        ("{{ item.list.1.b }}", "ä"),
        ("{{ item['with space'] }}{{ item.with-dash }}", "spacedash"),
        ("{{ sample.output_tools[0].function.name }}", "look_up"),
        ("{{ sample.output_tools[0].function.arguments }}", '{"a": 1}'),
        ("{{sample.output_json.name}}", "John"),
        ("{{ sample.output_json }}", '{"name":"John"}'),
        # an answer that looks like a template is text
        ("{{ sample.output_text }}", "hi {{ item.text }}"),
    ],
)
def test_rendered(template: str, text: str) -> None:
    assert rendered(template, NAMES) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ item.absent }}", "item.absent: there is no 'absent'; there is: inner, list"),
        ("{{ item.list[7] }}", "the list has 2 entries"),
        ("{{ item.text.more }}", "'more' is looked for in a text"),
        ("{{ item.nothing.more }}", "'more' is looked for in null"),
        ("{{ item.inner[0] }}", "there is no '0'"),
    ],
)
def test_what_is_missing_is_named(template: str, message: str) -> None:
    with pytest.raises(MissingValueError) as caught:
        rendered(template, NAMES)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "hole",
    [
        "",
        "text",
        "item..text",
        "item.",
        "other.text",
        "item.text | upper",
        "item.a b",
        "1 + 1",
        "item[",
        "items.text",
        "item()",
    ],
)
def test_holes_that_are_no_path_are_refused_before_anything_runs(hole: str) -> None:
    with pytest.raises(DefinitionError, match="no path"):
        parsed_template("{{" + hole + "}}")


@given(st.text(), st.text())
def test_any_value_goes_in_as_it_is(before: str, value: str) -> None:
    before = before.replace("{{", "")
    assert (
        rendered(before.rstrip("{") + "{{ item.x }}", {"item": {"x": value}, "sample": {}})
        == before.rstrip("{") + value
    )
