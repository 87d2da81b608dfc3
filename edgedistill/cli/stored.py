"""The summary that a run left behind."""

from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.errors import InputError

if TYPE_CHECKING:
    from edgedistill.run.summary import Summary


def stored_summary(folder: Path) -> "Summary":
    """Return the summary of a run directory.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    from edgedistill.run.summary import FILE, summary_from_file

    thing = f"run directory '{folder}'"
    if not (folder / FILE).is_file():
        raise InputError(thing, found=f"no {FILE}", wanted="a folder that `edgedistill run` wrote")
    try:
        return summary_from_file(folder / FILE)
    except ValueError as error:
        fix = "run the recipe again; it goes on with what is there"
        raise InputError(thing, found=f"{FILE} is damaged or of another version", fix=fix) from error
