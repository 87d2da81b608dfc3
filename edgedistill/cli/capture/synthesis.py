"""What the verbs that make transfer data print."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgedistill.cli.output import document, facts, say
from edgedistill.errors import GateError

if TYPE_CHECKING:
    from edgedistill.capture.synthesis.labelling import Labelled


@contextmanager
def gates_as_json(*, as_json: bool) -> Iterator[None]:
    """Print a gate that stops a verb before it has a result, where one JSON document is wanted."""
    try:
        yield
    except GateError as error:
        if as_json:
            document({"error": type(error).__name__, "message": str(error), "exit_code": error.exit_code})
        raise


def show_sets(labelled: "Labelled", *, as_json: bool) -> None:
    """Print what came of a labelling or a generation."""
    if as_json:
        document({**labelled.summary, "folder": str(labelled.folder)})
        return
    warnings = labelled.summary.get("warnings")
    facts({key: value for key, value in labelled.summary.items() if key != "warnings" and value not in (None, {}, [])})
    say(f"written: {labelled.folder}/train.jsonl, validation.jsonl, pairs.jsonl, summary.json")
    for warning in warnings if isinstance(warnings, list) else ():
        say(f"warning: {warning}")
    say("The terms of some providers forbid training other models on what theirs say: see those of this teacher.")
