"""`edgedistill capture export`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.capture.options import STORE, FormOption, StoreOption, UniqueOption, WhereOption, form_from
from edgedistill.cli.output import document, say


def export(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write; - for standard output.", show_default=False)
    ],
    *,
    store: StoreOption = STORE,
    form: FormOption = None,
    where: WhereOption = None,
    unique: UniqueOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export completions: as JSON lines with all there is, for fine-tuning, for evaluations, as Parquet, as .npz."""
    from edgedistill.capture.formats.exporting import export_file, write_lines
    from edgedistill.capture.formats.forms import Form
    from edgedistill.capture.selection import selected
    from edgedistill.capture.store import open_store
    from edgedistill.capture.where import filter_from
    from edgedistill.errors import InputError

    chosen, what = filter_from(where or ()), form_from(form)
    with open_store(store) as opened:
        completions = selected(opened, chosen, unique=unique)
        if str(path) == "-":
            what = what or Form.RECORDS
            if what in (Form.LIST, Form.PARQUET, Form.NPZ) or as_json:
                raise InputError("standard output", found=f"form {what}", wanted="JSON lines, and no --json")
            write_lines(sys.stdout.buffer, completions, store=opened, form=what)
            return
        exported = export_file(path, completions, store=opened, form=what)
    if as_json:
        document({"file": str(path), "written": exported.written, "left_out": exported.left_out})
        return
    say(f"wrote {exported.written} completions to {path}")
    if exported.left_out:
        say(f"left out {exported.left_out} that this form cannot hold: another kind, or no answer in text")
