"""`edgedistill doctor`."""

from dataclasses import asdict

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.output import document, table


def doctor(*, as_json: JsonOption = False) -> None:
    """Look at what this machine has and lacks: versions, extras, the emulated board's tools, disk, cache.

    Ends with exit code 2 when something is missing that every run needs.
    """
    from edgedistill.cache import cache_folder
    from edgedistill.devices.readiness import State
    from edgedistill.doctor import checks

    found = list(checks(cache=cache_folder()))
    if as_json:
        document([asdict(check) for check in found])
    else:
        rows = [(check.state, check.name, check.found, check.fix) for check in found]
        table(("state", "what", "found", "mended by"), rows)
    if any(check.state is State.MISSING for check in found):
        raise typer.Exit(2)
