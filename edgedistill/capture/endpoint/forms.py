"""Bringing a model to answer in JSON of a certain form, and finding the JSON in what it says."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from edgedistill.capture.json_text import list_at, parsed_object
from edgedistill.capture.reasoning import without_reasoning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedistill.capture.json_text import Json


class AnswerForm(enum.StrEnum):
    """How a model is brought to answer in JSON; local servers differ in what they can."""

    SCHEMA = "schema"
    """`response_format` with a JSON schema, as the service does."""
    OBJECT = "object"
    """`response_format` with any JSON object, and a sentence that says which."""
    PROMPT = "prompt"
    """The sentence alone."""


def formed(body: Mapping[str, object], *, name: str, schema: Json, words: str, form: AnswerForm) -> Json:
    """Return a chat completion request that asks for an answer in JSON.

    Args:
        body: the request.
        name: of the schema: letters, digits, dashes.
        schema: of the answer, an object whose keys are all required.
        words: the same for people: 'Answer with one JSON object: {"result": ...}.'
        form: how it is asked for.
    """
    if form is AnswerForm.SCHEMA:
        wanted: Json = {"name": name, "strict": True, "schema": schema}
        return {**body, "response_format": {"type": "json_schema", "json_schema": wanted}}
    asked: Json = {**body, "messages": [*list_at(body, "messages"), {"role": "system", "content": words}]}
    if form is AnswerForm.OBJECT:
        asked["response_format"] = {"type": "json_object"}
    return asked


def closed_object(properties: Mapping[str, object]) -> Json:
    """Return the schema of an object with these keys and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def object_in(text: str) -> Json | None:
    """Return the JSON object in an answer, which models put into fences or behind their reasoning; None: no object."""
    plain = without_reasoning(text)
    found = parsed_object(plain)
    if found is not None:
        return found
    first, last = plain.find("{"), plain.rfind("}")
    return parsed_object(plain[first : last + 1]) if 0 <= first < last else None
