"""Options that the verbs of `edgedistill capture` share."""

from pathlib import Path
from typing import Annotated

import typer

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
