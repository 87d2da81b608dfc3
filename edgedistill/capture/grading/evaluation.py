"""An evaluation: criteria, read from any of the forms in which definitions are kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, TypeAdapter, ValidationError

from edgedistill.capture.grading.definitions import (
    TYPES,
    AnyGrader,
    DefinitionError,
    LabelModel,
    Message,
    Multi,
    Part,
    PythonCode,
    ScoreModel,
    StringCheck,
    TextSimilarity,
)
from edgedistill.capture.grading.formula import parsed_formula
from edgedistill.capture.grading.templates import parsed_template
from edgedistill.capture.json_text import canonical, list_at, object_at, parsed, text_at
from edgedistill.errors import UnsupportedError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from edgedistill.capture.json_text import Json

_GRADER: TypeAdapter[AnyGrader] = TypeAdapter(Annotated[AnyGrader, Field(discriminator="type")])
_MODELS: Mapping[str, type[Part]] = {
    "string_check": StringCheck,
    "text_similarity": TextSimilarity,
    "label_model": LabelModel,
    "score_model": ScoreModel,
    "python": PythonCode,
    "multi": Multi,
}
MAX_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Evaluation:
    """What samples are graded by.

    Args:
        name: as the definition says; else the graders'.
        criteria: graders whose names differ.
        document: the definition as it was read.
        metadata: pairs that a record must have, from a data source of stored completions.
        required: keys that an item must have, from the schema of a custom data source.
    """

    name: str
    criteria: tuple[AnyGrader, ...]
    document: object
    metadata: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Identity of the definition."""
        return hashlib.sha256(canonical(self.document)).hexdigest()

    @property
    def graders(self) -> Iterator[AnyGrader]:
        """All graders, those inside of others as well."""
        for criterion in self.criteria:
            yield criterion
            if isinstance(criterion, Multi):
                yield from criterion.by_name.values()


def evaluation_from_file(path: Path) -> Evaluation:
    """Return the evaluation in a JSON file: see `evaluation_from_document`.

    Raises:
        DefinitionError: the file is missing, is no JSON, or holds no definition.
        UnsupportedError: a type of grader that is not run here.
    """
    thing = f"definition '{path}'"
    return evaluation_from_document(document_from_file(path, thing=thing), thing=thing, name=path.stem)


def document_from_file(path: Path, *, thing: str) -> object:
    """Return the value in a JSON file of the user's.

    Raises:
        DefinitionError: the file is missing, is too large, or is no JSON.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DefinitionError(thing, found=f"more than {MAX_BYTES >> 20} MiB")
        content = path.read_bytes()
    except OSError as error:
        raise DefinitionError(thing, found=str(error.strerror), wanted="a JSON file") from error
    document = parsed(content)
    if document is None:
        raise DefinitionError(thing, found="no JSON", wanted="the published form, in JSON")
    return document


def evaluation_from_document(document: object, *, thing: str = "definition", name: str = "") -> Evaluation:
    """Return the evaluation that a JSON value defines.

    Taken are: the body of an evaluation's creation, or what its retrieval gives (`testing_criteria`); one grader; a
    list of graders; a request that runs or validates a grader (`grader`); a reinforcement fine-tuning job
    (`method.reinforcement.grader`).

    Args:
        document: the value.
        thing: what it is, for messages.
        name: its name where it says none.

    Raises:
        DefinitionError: it is none of these, or a grader in it is wrong.
        UnsupportedError: a type of grader that is not run here.
    """
    found = _criteria(document, thing)
    criteria = [_grader(entry, f"{thing}, criterion {number}") for number, entry in enumerate(found, start=1)]
    for criterion in criteria:
        _check_parts(criterion, thing)
    _check_names([criterion.title for criterion in criteria], thing)
    source = object_at(document, "data_source_config")
    said = text_at(document, "name") if isinstance(document, dict) and "testing_criteria" in document else None
    return Evaluation(
        name=said or name or ", ".join(criterion.title for criterion in criteria),
        criteria=tuple(criteria),
        document=document,
        metadata={key: value for key, value in object_at(source, "metadata").items() if isinstance(value, str)},
        required=tuple(key for key in _required(source) if isinstance(key, str)),
    )


def _criteria(document: object, thing: str) -> Sequence[object]:
    if isinstance(document, list):
        found: Sequence[object] = document
    elif not isinstance(document, dict):
        found = []
    elif "testing_criteria" in document:
        found = list_at(document, "testing_criteria")
    elif "type" in document:
        found = [document]
    else:
        inner = document.get("grader") or object_at(object_at(document, "method"), "reinforcement").get("grader")
        found = [inner] if inner else []
    if not found:
        raise DefinitionError(thing, found="no graders", wanted="testing_criteria, or one grader with its type")
    return found


def _required(source: Json) -> Sequence[object]:
    """Return the required keys of an item's schema, which stands alone or wraps `item` and `sample`."""
    schema = object_at(source, "item_schema") or object_at(source, "schema")
    inner = object_at(object_at(schema, "properties"), "item")
    return list_at(
        inner if inner and list_at(schema, "required") in (["item"], ["item", "sample"]) else schema, "required"
    )


def _grader(entry: object, thing: str) -> AnyGrader:
    kind = entry.get("type") if isinstance(entry, dict) else None
    if kind not in TYPES:
        raise UnsupportedError(
            f"{thing}, type", found=repr(kind), wanted="a published grader", fix=nearest(str(kind), TYPES)
        )
    try:
        return _GRADER.validate_python(entry)
    except ValidationError as error:
        raise DefinitionError(thing, found=_listing(error, _MODELS[str(kind)])) from error


def _listing(error: ValidationError, model: type[Part]) -> str:
    found = [_problem(detail, model) for detail in error.errors(include_url=False)]
    return found[0] if len(found) == 1 else f"{len(found)} problems:\n" + ";\n".join(f"  {line}" for line in found)


def _problem(detail: ErrorDetails, model: type[Part]) -> str:
    path = ".".join(str(step) for step in detail["loc"] if step not in TYPES) or "the grader"
    if detail["type"] == "extra_forbidden":
        valid = model.model_fields if len(detail["loc"]) <= 2 else ()  # noqa: PLR2004 - the type, then the key
        return f"{path} is no key of a grader" + (f"; {nearest(str(detail['loc'][-1]), valid)}" if valid else "")
    return f"{path}: {detail['msg'].removeprefix('Value error, ')}"


def _check_parts(criterion: AnyGrader, thing: str) -> None:
    """Read every template and formula now, so that none fails in the middle of a run."""
    if isinstance(criterion, Multi):
        parsed_formula(criterion.calculate_output, names=criterion.by_name)
        for part in criterion.by_name.values():
            _check_parts(part, thing)
    for text in _templates(criterion):
        parsed_template(text)


def _templates(grader: AnyGrader) -> Iterator[str]:
    if isinstance(grader, (StringCheck, TextSimilarity)):
        yield from (grader.input, grader.reference)
    elif isinstance(grader, (LabelModel, ScoreModel)):
        for message in (grader.input,) if isinstance(grader.input, Message) else grader.input:
            parts = message.content if isinstance(message.content, tuple) else (message.content,)
            yield from (part if isinstance(part, str) else getattr(part, "text", "") for part in parts)


def _check_names(names: Sequence[str], thing: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DefinitionError(thing, found=f"two criteria called '{twice[0]}'", wanted="names that differ")
