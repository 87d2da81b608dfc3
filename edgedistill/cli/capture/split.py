"""`edgedistill capture split`."""

from pathlib import Path
from typing import Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.capture.options import (
    STORE,
    FormOption,
    StoreOption,
    UniqueOption,
    WhereOption,
    form_from,
)
from edgedistill.cli.output import document, say, table


def split(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write a file per part.", show_default=False)],
    shares: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=SHARE]...", help="train=0.8 validation=0.1 test=0.1")
    ] = None,
    *,
    store: StoreOption = STORE,
    form: FormOption = None,
    where: WhereOption = None,
    unique: UniqueOption = None,
    near: Annotated[
        bool, typer.Option("--near", help="Keep nearly the same prompts in one part, not only the same ones.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Another one gives another split.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Split completions into files for training and testing, by a hash of the prompt: none is in two of them."""
    from edgedistill.capture.duplicates import Duplicates
    from edgedistill.capture.formats.exporting import export_file
    from edgedistill.capture.formats.forms import Form
    from edgedistill.capture.selection import selected
    from edgedistill.capture.splits import SHARES, shares_from
    from edgedistill.capture.splits import split as split_completions
    from edgedistill.capture.store import open_store
    from edgedistill.capture.where import filter_from
    from edgedistill.errors import InputError

    what = form_from(form) or Form.RECORDS
    if what is Form.NPZ:
        raise InputError("form npz", found="it holds its split itself", fix="use `edgedistill capture export`")
    chosen = filter_from(where or ())
    suffix = {Form.PARQUET: "parquet", Form.LIST: "json"}.get(what, "jsonl")
    with open_store(store) as opened:
        found = split_completions(
            selected(opened, chosen, unique=unique),
            shares_from(shares) if shares else SHARES,
            seed=seed,
            together=Duplicates.NEAR if near else Duplicates.PROMPT,
        )
        paths = {name: folder / f"{name}.{suffix}" for name in found.parts}
        written = {
            name: export_file(paths[name], part, store=opened, form=what).written for name, part in found.parts.items()
        }
    if as_json:
        parts = {
            name: {"file": str(paths[name]), "completions": written[name], "prompts": found.prompts[name]}
            for name in found.parts
        }
        document({"parts": parts, "warnings": found.warnings})
        return
    table(
        ("part", "completions", "prompts", "file"),
        [(name, str(written[name]), str(found.prompts[name]), str(paths[name])) for name in found.parts],
    )
    for warning in found.warnings:
        say(f"warning: {warning}")
