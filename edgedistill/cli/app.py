"""The program `edgedistill`: its verbs, its signals, its exit code."""

import signal
import sys
import warnings
from types import FrameType
from typing import Annotated

import typer

from edgedistill.cli.build import build
from edgedistill.cli.capture.group import app as capture
from edgedistill.cli.check import check
from edgedistill.cli.devices import app as devices
from edgedistill.cli.distill import distill
from edgedistill.cli.doctor import doctor
from edgedistill.cli.evaluate import evaluate
from edgedistill.cli.guard import INTERRUPTED, guarded, report_bug
from edgedistill.cli.init import init
from edgedistill.cli.losses import app as losses
from edgedistill.cli.measure import app as bench
from edgedistill.cli.quantize import quantize
from edgedistill.cli.report import report
from edgedistill.cli.run import run
from edgedistill.cli.schema import schema
from edgedistill.cli.targets import app as targets
from edgedistill.cli.verify import verify

app = typer.Typer(
    name="edgedistill",
    help="From a PyTorch teacher to a verified INT8 artifact on a device, by one recipe.",
    epilog="Start with: edgedistill init, then edgedistill run recipe.yaml.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        from edgedistill import __version__

        typer.echo(f"edgedistill {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From a PyTorch teacher to a verified INT8 artifact on a device, by one recipe."""


def _register() -> None:
    for name, verb in (
        ("init", init),
        ("doctor", doctor),
        ("check", check),
        ("run", run),
        ("distill", distill),
        ("quantize", quantize),
        ("build", build),
        ("verify", verify),
        ("eval", evaluate),
        ("report", report),
        ("schema", schema),
    ):
        app.command(name)(guarded(verb))
    app.add_typer(losses, name="losses")
    app.add_typer(targets, name="targets")
    app.add_typer(devices, name="devices")
    app.add_typer(bench, name="bench")
    app.add_typer(capture, name="capture")


_register()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the program and leave with its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    # torch 2.13's exporter calls its own deprecated functions; nobody here can do anything about it
    warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
    try:
        app()
    except KeyboardInterrupt:  # outside of a verb: while its modules are loaded
        sys.exit(INTERRUPTED)
    except Exception:  # noqa: BLE001 - the last line of defence: an exit code and a request for a report
        report_bug()
        sys.exit(1)
