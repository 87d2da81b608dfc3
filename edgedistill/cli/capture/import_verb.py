"""`edgedistill capture import`."""

from pathlib import Path
from typing import Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.capture.options import (
    STORE,
    FormOption,
    MetadataOption,
    RedactFunctionOption,
    RedactOption,
    StoreOption,
    form_from,
    pairs_of,
    redaction_from,
)
from edgedistill.cli.output import document, say


def import_completions(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", show_default=False)],
    *,
    store: StoreOption = STORE,
    form: FormOption = None,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="Who answered, where a file does not say.")
    ] = "imported",
    pairs: MetadataOption = None,
    redact: RedactOption = None,
    redact_function: RedactFunctionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import completions: fine-tuning files, list responses, {text, label}, {item, sample}, our own exports."""
    from edgedistill.capture.formats.importing import Import, import_files
    from edgedistill.capture.store import Store

    how = Import(form_from(form), pairs_of(pairs), model, redaction_from(redact, redact_function))
    with Store(store) as opened:
        imported = import_files(opened, paths, how)
    if as_json:
        document({"added": imported.added, "already": imported.already, "without_prompt": imported.without_prompt})
        return
    say(f"added {imported.added} completions to '{store}'; {imported.already} were there already")
    if imported.without_prompt:
        say(
            f"of {imported.without_prompt} only the answer is known: a list response does not hold what was asked; "
            "import the responses of /messages with it"
        )
