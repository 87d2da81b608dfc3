"""`edgedistill devices emulate`: builds the emulated board; starts, lists and stops emulated boards."""

from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.guard import guarded
from edgedistill.cli.output import document, facts, say, table

if TYPE_CHECKING:
    from edgedistill.devices.emulation.boards import EmulatedBoard

app = typer.Typer(help="Build the emulated ARM64 board; start one with its own SSH server or adb daemon, and stop it.")
CpuOption = Annotated[
    str | None, typer.Option("--cpu-model", metavar="CPU", help="One of those that `devices list` names.")
]


def emulate(
    context: typer.Context,
    *,
    cpu_model: CpuOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the emulated ARM64 board in the cache folder, where it is missing, and show what it is."""
    if context.invoked_subcommand is not None:
        return
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


def start(
    *,
    cpu_model: CpuOption = None,
    adb: Annotated[bool, typer.Option("--adb", help="Reached by adb instead of SSH.")] = False,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Its name; the CPU model's without it.")
    ] = None,
    disk_mb: Annotated[
        int | None,
        typer.Option("--disk-mb", min=1, max=100_000, help="A disk of this size, in memory, which a reboot empties."),
    ] = None,
    bare: Annotated[
        bool, typer.Option("--bare", help="Without numpy and onnxruntime, as fresh from its image.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Boot an emulated board; it runs until `stop`, and `--device NAME` reaches it."""
    from edgedistill.cli.progress import progress_on_terminal
    from edgedistill.devices.emulated import DEFAULT_CPU_MODEL
    from edgedistill.devices.emulation import boards

    link = boards.Link.ADB if adb else boards.Link.SSH
    choice = boards.BoardChoice(cpu_model or DEFAULT_CPU_MODEL, link, disk_mb=disk_mb, bare=bare)
    with progress_on_terminal() as progress:
        board = boards.start(choice, name=name, progress=progress)
    if as_json:
        document(_described(board))
        return
    say(f"{board.name} runs. Use it as `--device {board.name}`, or by hand: {_by_hand(board)}")


def stop(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Boards, or `all`.")],
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Remove their disks too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """End boards as a power cut would; their disks are kept for the next start."""
    from edgedistill.devices.emulation import boards

    chosen = [board.name for board in boards.boards()] if names == ["all"] else names
    for name in chosen:
        boards.stop(name, remove=remove)
    if as_json:
        document({"stopped": chosen, "removed": remove})
    else:
        say(f"stopped: {', '.join(chosen) or 'none'}")


def list_boards(*, as_json: JsonOption = False) -> None:
    """List the boards that were started, whether they run, and how to reach them by hand."""
    from edgedistill.devices.emulation import boards

    known = boards.boards()
    if as_json:
        document([_described(board) for board in known])
        return
    rows = [
        (board.name, board.choice.cpu_model, "running" if board.running else "stopped", _by_hand(board))
        for board in known
    ]
    table(("board", "CPU model", "state", "by hand"), rows)


def _by_hand(board: "EmulatedBoard") -> str:
    if board.choice.link == "ssh":
        return f"ssh -F {board.ssh_config} {board.name}"
    return f"{board.adb} -s 127.0.0.1:{board.port} shell"


def _described(board: "EmulatedBoard") -> dict[str, object]:
    return {
        "name": board.name,
        "cpu_model": board.choice.cpu_model,
        "link": str(board.choice.link),
        "running": board.running,
        "address": board.address,
        "port": board.port,
        "by_hand": _by_hand(board),
    }


app.callback(invoke_without_command=True)(guarded(emulate))
app.command("start")(guarded(start))
app.command("stop")(guarded(stop))
app.command("list")(guarded(list_boards))
