"""Options that the verbs of `edgedistill capture` share, and what they mean."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from edgedistill.errors import InputError, nearest

if TYPE_CHECKING:
    from edgedistill.capture.formats.forms import Form
    from edgedistill.capture.redaction import Redaction
    from edgedistill.capture.retention import Retention

STORE = Path("captured")

StoreOption = Annotated[
    Path, typer.Option("--store", metavar="DIR", envvar="EDGEDISTILL_STORE", help="Folder of the captured completions.")
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        "-w",
        metavar="KEY=VALUE",
        help="Only those that meet this; may be given again. Keys: kind, model, metadata.KEY, created_after, "
        "created_before, finish_reason, source, grader, min_score, passed.",
    ),
]
MetadataOption = Annotated[
    list[str] | None,
    typer.Option("--metadata", "-m", metavar="KEY=VALUE", help="For every completion; may be given again."),
]
RedactOption = Annotated[
    list[str] | None,
    typer.Option(
        "--redact",
        metavar="PATTERN",
        help="What to take out before writing, besides keys: email, phone, card, iban, ip, NAME=REGEX; may be given "
        "again. none: not even what looks like a key, but still the caller's own.",
    ),
]
RedactFunctionOption = Annotated[
    str | None,
    typer.Option(
        "--redact-with",
        metavar="python:MODULE:FUNCTION",
        help="A function that is given each text and returns what may be kept.",
    ),
]
MaxAgeOption = Annotated[
    float | None, typer.Option("--max-age-days", metavar="DAYS", help="Delete what was stored longer ago.")
]
MaxSizeOption = Annotated[
    str | None, typer.Option("--max-size", metavar="SIZE", help="Delete the oldest above this: 500MB, 2GB.")
]
FormOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="FORM",
        help="records, messages, labels, evals, list; exported also as parquet, npz. Without it, what the file tells.",
    ),
]
UniqueOption = Annotated[
    str | None,
    typer.Option(
        "--unique", metavar="WHAT", help="Of duplicates only the first: exact ones, of one prompt, or near ones."
    ),
]


def form_from(name: str | None) -> "Form | None":
    """Return the form of a name.

    Raises:
        InputError: there is no such form.
    """
    if name is None:
        return None
    from edgedistill.capture.formats.forms import Form

    if name not in list(Form):
        raise InputError(f"form '{name}'", found="no such form", fix=nearest(name, [str(form) for form in Form]))
    return Form(name)


def pairs_of(pairs: Sequence[str] | None) -> dict[str, str]:
    """Return the metadata of KEY=VALUE texts.

    Raises:
        InputError: one has no "=".
        DataError: it is out of its limits.
    """
    from edgedistill.capture.completion import checked_metadata

    split = [pair.partition("=") for pair in pairs or ()]
    for key, equals, _ in split:
        if not equals or not key:
            raise InputError(f"metadata '{key}'", found="no value", wanted="KEY=VALUE")
    return checked_metadata({key: value for key, _, value in split})


def redaction_from(names: Sequence[str] | None, function: str | None) -> "Redaction":
    """Return the redaction that the options name.

    Raises:
        InputError: no such pattern, no regular expression, or no such function.
    """
    from edgedistill.capture.redaction import ALWAYS, redaction_of

    names = list(names or ())
    chosen = [name for name in names if name != "none"] if "none" in names else [*ALWAYS, *names]
    if function is None:
        return redaction_of(chosen)
    from edgedistill.data.user_code import user_function

    found = user_function(function, Path.cwd(), error=InputError)
    # what it returns is checked where it is used
    return redaction_of(chosen, function=cast("Callable[[str], str]", found.load()), function_version=found.fingerprint)


def retention_from(max_age_days: float | None, max_size: str | None) -> "Retention":
    """Return the limits that the options name.

    Raises:
        InputError: a limit is no number, or out of its range.
    """
    from edgedistill.capture.retention import Retention

    return Retention(max_age_days, None if max_size is None else _size(max_size))


def _size(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]+)?) ?([kMGT]?)B?", text)
    if match is None:
        raise InputError(f"size '{text}'", found="no size", wanted="as in 500MB or 2GB")
    return int(float(match[1]) * 1000 ** " kMGT".index(match[2] or " "))
