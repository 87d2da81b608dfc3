"""What is graded: `{item, sample}` pairs, from files and from records."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.capture.json_text import canonical, list_at, object_at, parsed, text_at
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedistill.capture.json_text import Json


@dataclass(frozen=True)
class Sample:
    """One thing to grade.

    Args:
        id: its name: the record's, or "row-12".
        item: what was known before: the `item` of templates.
        sample: what the model answered: the `sample` of templates.
    """

    id: str
    item: Json
    sample: Json

    @property
    def namespaces(self) -> dict[str, object]:
        """What templates see."""
        return {"item": self.item, "sample": self.sample}


def samples_from_rows(rows: Sequence[Json], *, thing: str) -> list[Sample]:
    """Return the samples in rows `{item, sample}`.

    Rows may have `id`. `sample` may be the answer's text alone; output items that were exported from the service have
    `datasource_item` instead of `item`. A row that has neither is an item itself.

    Args:
        rows: JSON objects.
        thing: where they come from, for messages.

    Raises:
        DataError: an item is no object, a sample is neither an object nor a text, or two rows have one id.
    """
    samples = [_sample(row, number, thing) for number, row in enumerate(rows, start=1)]
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise DataError(thing, found=f"id '{sample.id}' on two rows", wanted="ids that differ")
        seen.add(sample.id)
    return samples


def _sample(row: Json, number: int, thing: str) -> Sample:
    wrapped = next((key for key in ("item", "datasource_item") if key in row), None)
    item = row[wrapped] if wrapped else {key: value for key, value in row.items() if key not in ("id", "sample")}
    sample = row.get("sample", row.get("model_sample", {}))
    if isinstance(sample, str):
        sample = {"output_text": sample}
    if not isinstance(item, dict) or not isinstance(sample, dict):
        raise DataError(
            f"{thing}, row {number}", found="an item or a sample that is no object", wanted="{item, sample}"
        )
    name = row.get("id")
    return Sample(name if isinstance(name, str) and name else f"row-{number}", item, completed(sample))


def completed(sample: Json) -> Json:
    """Return a sample with the names that graders know, where they follow from what it has.

    `output_text` from `choices` or from the last of `output`; `output_json` where the text is JSON; `output_tools`
    and `choices`, empty where there are none.
    """
    choices = list_at(sample, "choices")
    message = object_at(choices[0], "message") if choices else {}
    outputs = [entry for entry in list_at(sample, "output") if isinstance(entry, dict)]
    text = next(
        (found for found in (text_at(sample, "output_text"), text_at(message, "content")) if found is not None),
        (text_at(outputs[-1], "content") if outputs else None),
    )
    full: Json = {"choices": choices, "output_tools": list_at(message, "tool_calls"), **sample}
    if text is None:
        return full
    full["output_text"] = text
    value = parsed(text) if text.lstrip()[:1] in ("{", "[") else None
    if value is not None and "output_json" not in full:
        full["output_json"] = value
    return full


def fingerprint(samples: Sequence[Sample]) -> str:
    """Return the sha256 of all samples, in their order."""
    return hashlib.sha256(canonical([[sample.id, sample.item, sample.sample] for sample in samples])).hexdigest()
