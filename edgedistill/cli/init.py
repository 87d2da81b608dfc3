"""`edgedistill init`."""

from pathlib import Path
from typing import Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.output import document, say


def init(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="Where to write the recipe.")] = Path("recipe.yaml"),
    *,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    list_choices: Annotated[
        bool, typer.Option("--list", help="Write nothing; list the sources, models, weights and targets to name.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a commented recipe to start from, and its JSON schema beside it for editors."""
    if list_choices:
        _show_choices(as_json=as_json)
        return
    from edgedistill.starter import overwrite_with_starter, write_starter

    written = overwrite_with_starter(path) if force else write_starter(path)
    if as_json:
        document({"written": [str(file) for file in written]})
        return
    for file in written:
        say(f"wrote {file}")
    say(f"next: edgedistill run {path}")


def _show_choices(*, as_json: bool) -> None:
    from edgedistill.starter import choices

    if as_json:
        document(choices())
        return
    for key, names in choices().items():
        say(f"{key}: {names}")
