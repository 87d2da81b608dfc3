"""How a verb ends when something is wrong: the message, and the exit code.

0 done, 1 our bug, 2 the user's input, 3 a gate failed, 4 a device could not be reached, 130 interrupted.
"""

import errno
import functools
import json
import traceback
from collections.abc import Callable
from typing import ParamSpec

import typer

from edgedistill.errors import EdgeDistillError, GateError, ResourceError, UnfinishedError
from edgedistill.launcher import other_than_first

Parameters = ParamSpec("Parameters")
INTERRUPTED = 130
OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors of the system that say what the user's machine lacks, and nothing of our code."""


def guarded(verb: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Return the verb with every exception turned into its message and exit code."""

    @functools.wraps(verb)
    def run_guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        as_json = bool(kwargs.get("as_json"))
        try:
            verb(*args, **kwargs)
        except KeyboardInterrupt:
            _error("interrupted; run the same command again to go on")
            raise typer.Exit(INTERRUPTED) from None
        except EdgeDistillError as error:
            _explain(error, as_json=as_json)
            raise typer.Exit(error.exit_code) from None
        except OSError as error:
            if error.errno not in OF_THE_MACHINE:
                raise
            lack = ResourceError(f"file '{error.filename}'", found=str(error.strerror))
            _explain(lack, as_json=as_json)
            raise typer.Exit(lack.exit_code) from None

    return run_guarded


def _explain(error: EdgeDistillError, *, as_json: bool) -> None:
    _error(str(error))
    if (
        as_json and not other_than_first() and not isinstance(error, GateError | UnfinishedError)
    ):  # then the verb has printed its result
        typer.echo(json.dumps({"error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}))


def report_bug() -> None:
    """Print the exception that is being handled, and ask for a report."""
    traceback.print_exc()
    _error("this is a bug in edgedistill; please report it with the lines above and your recipe")


def _error(message: str) -> None:
    rank = other_than_first()
    typer.secho(f"process {rank}: error: " if rank else "error: ", fg=typer.colors.RED, bold=True, nl=False, err=True)
    typer.echo(message, err=True)
