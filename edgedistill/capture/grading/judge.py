"""Model graders: what the judging model is asked, and how its answer is read.

Source: the OpenAI graders guide, "Model graders": the answer is JSON with a `result` and `steps`, a number is cut to
the range, and what is no number is 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from edgedistill.capture.endpoint.forms import AnswerForm, closed_object, formed, object_in
from edgedistill.capture.grading.definitions import InputAudio, InputImage, InputText, LabelModel, Message, ScoreModel
from edgedistill.capture.grading.outcome import Score
from edgedistill.capture.grading.templates import rendered
from edgedistill.capture.json_text import list_at, text_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedistill.capture.endpoint.answers import Answer
    from edgedistill.capture.grading.definitions import ContentPart, SamplingParams
    from edgedistill.capture.json_text import Json


_STEPS: Final[Json] = {
    "type": "array",
    "items": closed_object({"description": {"type": "string"}, "conclusion": {"type": "string"}}),
}


def request_body(
    grader: LabelModel | ScoreModel, namespaces: Mapping[str, object], *, form: AnswerForm = AnswerForm.SCHEMA
) -> Json:
    """Return the chat completion request that asks the judge about one sample.

    Raises:
        MissingValueError: a template names what the sample does not have.
    """
    given = (grader.input,) if isinstance(grader.input, Message) else grader.input
    messages = [{"role": message.role, "content": content_of(message, namespaces)} for message in given]
    body: Json = {"model": grader.model, "messages": messages, **_sampling(grader.sampling_params)}
    return formed(body, name="grade", schema=_schema(grader), words=_instruction(grader), form=form)


def score_of_answer(grader: LabelModel | ScoreModel, answer: Answer) -> Score:
    """Return what the judge said: a number within the range, or 1 for a passing label and 0 for another."""
    if answer.refusal:
        return Score(_worst(grader), invalid=f"the judge refused: {answer.refusal[:200]}")
    document = object_in(answer.text)
    if document is None:
        why = "it was cut off" if answer.finish_reason == "length" else repr(answer.text[:120])
        return Score(_worst(grader), invalid=f"the judge's answer is no JSON object: {why}")
    steps = tuple(_step(step) for step in list_at(document, "steps") if isinstance(step, dict))
    if isinstance(grader, LabelModel):
        return _label_score(grader, document.get("result"), steps)
    return _number_score(grader, document.get("result"), steps)


def _label_score(grader: LabelModel, result: object, steps: tuple[str, ...]) -> Score:
    if result not in grader.labels:
        return Score(0.0, invalid=f"the judge chose {result!r}, which is no label", steps=steps)
    return Score(float(result in grader.passing_labels), label=str(result), steps=steps)


def _number_score(grader: ScoreModel, result: object, steps: tuple[str, ...]) -> Score:
    number = _number(result)
    if number is None:
        return Score(_worst(grader), invalid=f"the judge gave {result!r}, which is no number", steps=steps)
    least, greatest = grader.range
    return Score(min(greatest, max(least, number)), steps=steps)


def _number(result: object) -> float | None:
    if isinstance(result, str):
        try:
            result = float(result)
        except ValueError:
            return None
    if isinstance(result, bool) or not isinstance(result, (int, float)):
        return None
    return float(result) if math.isfinite(result) else None


def _worst(grader: LabelModel | ScoreModel) -> float:
    """Return the published 0, or what of the range is nearest to it."""
    return min(grader.range[1], max(grader.range[0], 0.0)) if isinstance(grader, ScoreModel) else 0.0


def _step(step: Json) -> str:
    parts = [text_at(step, "description") or "", text_at(step, "conclusion") or ""]
    return ": ".join(part for part in parts if part)


def _schema(grader: LabelModel | ScoreModel) -> Json:
    result: Json = {"type": "number"}
    if isinstance(grader, LabelModel):
        result = {"type": "string", "enum": list(grader.labels)}
    return closed_object({"steps": _STEPS, "result": result})


def _instruction(grader: LabelModel | ScoreModel) -> str:
    if isinstance(grader, LabelModel):
        wanted = "one of these labels: " + ", ".join(grader.labels)
    else:
        wanted = f"a number from {grader.range[0]:g} to {grader.range[1]:g}"
    return (
        'Answer with one JSON object and nothing else: {"steps": [{"description": "...", "conclusion": "..."}], '
        f'"result": ...}}. "result" is {wanted}.'
    )


def _sampling(params: SamplingParams | None) -> Json:
    if params is None:
        return {}
    given = params.model_dump(exclude_none=True)
    longest = given.pop("max_completions_tokens", None)
    return given if longest is None else {"max_completion_tokens": longest, **given}


def content_of(message: Message, namespaces: Mapping[str, object]) -> object:
    """Return the content of a message with its templates filled, as the chat completions API has it.

    Raises:
        MissingValueError: a template names what the sample does not have.
    """
    if isinstance(message.content, str):
        return rendered(message.content, namespaces)
    parts = message.content if isinstance(message.content, tuple) else (message.content,)
    return _parts(parts, namespaces)


def _parts(parts: Sequence[str | ContentPart], namespaces: Mapping[str, object]) -> list[Json]:
    return [_part(part, namespaces) for part in parts]


def _part(part: str | ContentPart, namespaces: Mapping[str, object]) -> Json:
    """Return a part of a message as the chat completions API has it."""
    if isinstance(part, str):
        return {"type": "text", "text": rendered(part, namespaces)}
    if isinstance(part, InputText):
        return {"type": "text", "text": rendered(part.text, namespaces)}
    if isinstance(part, InputImage):
        url: Json = {"url": rendered(part.image_url, namespaces)}
        return {"type": "image_url", "image_url": url | ({"detail": part.detail} if part.detail else {})}
    assert isinstance(part, InputAudio)  # noqa: S101 - the last of the three
    sound = {"data": rendered(part.input_audio.data, namespaces), "format": part.input_audio.format}
    return {"type": "input_audio", "input_audio": sound}
