"""`edgedistill devices`: machines that artifacts can run on from here."""

from typing import Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.guard import guarded
from edgedistill.cli.output import document, facts, say, table

app = typer.Typer(no_args_is_help=True, help="List the machines that artifacts can run on; build the emulated board.")


def list_devices(*, as_json: JsonOption = False) -> None:
    """List this machine and the emulated board, and whether the board is built."""
    import platform

    from edgedistill.devices import emulated, local
    from edgedistill.devices.arm_environment import environment_state

    board = environment_state()
    found = f"built in {board.folder}, {board.size_bytes / 1e6:.0f} MB" if board.ready else board.reason
    devices: list[dict[str, str | bool]] = [
        {"name": local.NAME, "machine": platform.machine(), "ready": True, "note": "this machine"},
        {"name": "emulated", "machine": "aarch64", "ready": board.ready, "note": found},
    ]
    if as_json:
        document({"devices": devices, "emulated_cpu_models": emulated.CPU_MODELS})
        return
    table(
        ("device", "machine", "note"), [[str(entry[key]) for key in ("name", "machine", "note")] for entry in devices]
    )
    say(f"CPU models of the emulated board: {', '.join(emulated.CPU_MODELS)}")


def emulate(
    *,
    cpu_model: Annotated[
        str | None, typer.Option("--cpu-model", metavar="CPU", help="One of those that `list` names.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Build the emulated ARM64 board in the cache folder, where it is missing, and show what it is."""
    from edgedistill.cli.progress import progress_on_terminal
    from edgedistill.devices.emulated import DEFAULT_CPU_MODEL, EmulatedArm

    with progress_on_terminal() as progress:
        board = EmulatedArm(cpu_model or DEFAULT_CPU_MODEL, progress=progress).describe()
    if as_json:
        document(
            {"name": board.name, "machine": board.machine, "execution": board.execution, "facts": dict(board.facts)}
        )
        return
    say(f"{board.name} ({board.machine}, {board.execution})")
    facts(board.facts)


app.command("list")(guarded(list_devices))
app.command("emulate")(guarded(emulate))
