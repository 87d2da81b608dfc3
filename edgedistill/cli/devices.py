"""`edgedistill devices`: machines that artifacts can run on from here."""

from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.emulate import app as emulate
from edgedistill.cli.guard import guarded
from edgedistill.cli.output import document, facts, say, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedistill.errors import EdgeDistillError

app = typer.Typer(
    no_args_is_help=True, help="List, probe and examine the machines that artifacts can run on; start emulated boards."
)
DevicesArgument = Annotated[
    list[str], typer.Argument(metavar="DEVICE...", help="local, emulated:CPU, ssh://USER@HOST, adb:SERIAL, or a name.")
]


def list_devices(*, as_json: JsonOption = False) -> None:
    """List this machine, the emulated board, and every device that devices.toml names; connects to none."""
    import platform

    from edgedistill.devices import emulated, inventory, local
    from edgedistill.devices.arm_environment import environment_state

    board = environment_state()
    found = f"built in {board.folder}, {board.size_bytes / 1e6:.0f} MB" if board.ready else board.reason
    devices: list[dict[str, str | bool]] = [
        {"name": local.NAME, "machine": platform.machine(), "ready": True, "note": "this machine"},
        {"name": "emulated", "machine": "aarch64", "ready": board.ready, "note": found},
    ]
    named = inventory.inventory()
    if as_json:
        entries = [
            {"name": item.name, "source": str(item.source), **item.entry.model_dump(mode="json")}
            for item in named.values()
        ]
        document({"devices": devices, "inventory": entries, "emulated_cpu_models": emulated.CPU_MODELS})
        return
    rows = [[str(entry[key]) for key in ("name", "machine", "note")] for entry in devices]
    rows += [[item.name, "", f"{item.entry.address}, from {item.source}"] for item in named.values()]
    table(("device", "machine", "note"), rows)
    say(f"CPU models of the emulated board: {', '.join(emulated.CPU_MODELS)}")


def probe(devices: DevicesArgument, *, as_json: JsonOption = False) -> None:
    """Connect to devices and show what they say of themselves; what they do not say is not shown."""
    from edgedistill.devices.fleet import asked

    ends = asked(devices, lambda device: device.describe())
    if as_json:
        document(
            [
                {
                    "name": end.name,
                    "error": str(end.error) if end.error else None,
                    "machine": end.value.machine if end.value else None,
                    "execution": end.value.execution if end.value else None,
                    "facts": dict(end.value.facts) if end.value else {},
                }
                for end in ends
            ]
        )
    else:
        for end in ends:
            if end.value is not None:
                say(f"{end.name} ({end.value.machine}, {end.value.execution})")
                facts(end.value.facts)
    _raise_first(end.error for end in ends)


def doctor(
    devices: DevicesArgument,
    *,
    wheels: Annotated[
        bool, typer.Option("--wheels", help="Download the wheels that are missing and copy them to the device.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what a device lacks to run artifacts, and the command that mends it.

    Ends with exit code 2 when a device lacks something that every artifact needs.
    """
    from dataclasses import asdict

    from edgedistill.devices.fleet import asked
    from edgedistill.devices.readiness import State, examined

    ends = asked(devices, lambda device: examined(device, wheels=wheels))
    if as_json:
        document(
            [
                {
                    "name": end.name,
                    "error": str(end.error) if end.error else None,
                    "checks": [asdict(check) for check in end.value or ()],
                }
                for end in ends
            ]
        )
    else:
        rows = [
            (end.name, check.state, check.name, check.found, check.fix) for end in ends for check in end.value or ()
        ]
        table(("device", "state", "what", "found", "mended by"), rows)
    _raise_first(end.error for end in ends)
    if any(check.state is State.MISSING for end in ends for check in end.value or ()):
        raise typer.Exit(2)


def clean(devices: DevicesArgument, *, as_json: JsonOption = False) -> None:
    """Remove from devices what edgedistill keeps there: copied artifacts, and jobs whose results were not fetched."""
    from edgedistill.devices.fleet import asked
    from edgedistill.devices.jobs import cleaned

    ends = asked(devices, cleaned)
    if as_json:
        document(
            [{"name": end.name, "error": str(end.error) if end.error else None, "freed": end.value} for end in ends]
        )
    else:
        for end in ends:
            if end.value is not None:
                say(f"{end.name}: {end.value}")
    _raise_first(end.error for end in ends)


def _raise_first(ends: "Iterable[EdgeDistillError | None]") -> None:
    """End with the first error of the gravest kind, a device that cannot be reached; say the others before."""
    errors = sorted((error for error in ends if error is not None), key=lambda error: -error.exit_code)
    for error in errors[1:]:
        typer.echo(f"error: {error}", err=True)
    if errors:
        raise errors[0]


app.command("list")(guarded(list_devices))
app.command("probe")(guarded(probe))
app.command("doctor")(guarded(doctor))
app.command("clean")(guarded(clean))
app.add_typer(emulate, name="emulate")
