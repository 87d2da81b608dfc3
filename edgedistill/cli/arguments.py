"""Arguments that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

RecipeArgument = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.", show_default=False)]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Other values for this run: distill.epochs=3.", show_default=False),
]
FolderOption = Annotated[
    Path | None,
    typer.Option("--folder", metavar="DIR", help="The run directory; runs/NAME without it.", show_default=False),
]
DevicesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="Verify and measure there too: ssh://USER@HOST, adb:SERIAL, or a name of devices.toml; may be repeated.",
        show_default=False,
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
