"""`edgedistill report`."""

from pathlib import Path
from typing import Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.output import document, say
from edgedistill.cli.stored import stored_summary


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN_FOLDER", help="A run directory.", show_default=False)],
    *,
    as_json: JsonOption = False,
) -> None:
    """Write the HTML page of a run directory again, from its summary.json."""
    stored_summary(folder)  # refuses a folder that is no run, before anything is drawn
    from edgedistill.report.page import write_report

    page = write_report(folder)
    if as_json:
        document({"report": str(page)})
    else:
        say(f"wrote {page}")
