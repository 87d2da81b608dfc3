"""Starts and stops emulated ARM64 boards: machines of their own as far as SSH or adb can tell.

A board is a folder in the cache: its disk, its keys, its log, what it was started with. Its processes live in
namespaces of their own (`init.py`), outlive the program that started them, and are ended by `stop`. What is on its
disk is still there when it is started again, as on a board that loses power.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.cache import cache_folder
from edgedistill.devices.arm_environment import BOARD_VARIABLES
from edgedistill.devices.emulated import CPU_MODELS, DEFAULT_CPU_MODEL
from edgedistill.devices.emulation import init
from edgedistill.devices.emulation.root import PLATFORM_TOOLS, USERS, BoardRoot, ensure_root
from edgedistill.devices.host_tools import last_words, run_tool
from edgedistill.errors import DependencyError, DeviceError, InputError, UnsupportedError, nearest
from edgedistill.progress import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST_KERNEL = (6, 7)
"""Since then binfmt_misc belongs to a user namespace, so that nothing on the host changes."""
TOOLS = ("unshare", "mount", "chroot", "ssh-keygen")
START_TIMEOUT_S = 60.0
MAPPED_USERS = 65536
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
RECORD = "board.json"
PACKAGES_OF_PYTHON = "/usr/lib/python3/dist-packages"


class Link(StrEnum):
    """How a board is reached."""

    SSH = "ssh"
    ADB = "adb"


PORTS = {Link.SSH: 22, Link.ADB: 5555}
DAEMONS = {
    Link.SSH: (
        "/usr/sbin/dropbear",
        *("-F", "-E", "-s", "-e"),  # in the foreground, no passwords, the daemon's environment for every session
        *("-p", "127.0.0.1:22", "-r", "/etc/dropbear/host_key", "-P", "/run/dropbear.pid"),
    ),
    Link.ADB: (f"/{PLATFORM_TOOLS}/adbd",),
}


@dataclass(frozen=True)
class BoardChoice:
    """What board to start.

    Args:
        cpu_model: one of `CPU_MODELS`.
        link: how it is reached.
        disk_mb: none keeps its files in the cache; a number gives it a disk of that size that a reboot empties.
        bare: without numpy and onnxruntime, as a board fresh from its image.
    """

    cpu_model: str = DEFAULT_CPU_MODEL
    link: Link = Link.SSH
    disk_mb: int | None = None
    bare: bool = False


@dataclass(frozen=True)
class EmulatedBoard:
    """A board that was started, now or earlier.

    Args:
        name: by which it is stopped, and by which `--device` knows it.
        folder: its folder in the cache.
        choice: what it was started with.
        port: on 127.0.0.1, of this machine.
        process: number of the process whose end ends the board.
        running: whether it still runs.
    """

    name: str
    folder: Path
    choice: BoardChoice
    port: int
    process: int
    running: bool

    @property
    def address(self) -> str:
        """How `edgedistill` reaches it."""
        return f"ssh://root@{self.name}" if self.choice.link is Link.SSH else f"adb:127.0.0.1:{self.port}"

    @property
    def ssh_config(self) -> Path:
        """For `ssh -F`: its address, port, key and host key."""
        return self.folder / "ssh_config"

    @property
    def adb(self) -> Path:
        """An adb client with a server of its own."""
        return self.folder / "adb"


def start(
    choice: BoardChoice, *, name: str | None = None, cache: Path | None = None, progress: Progress = SILENT
) -> EmulatedBoard:
    """Start a board and wait until it answers; build what it needs first.

    Args:
        choice: what board.
        name: small letters, digits, `-`; none means the CPU model's, with `-adb` for one reached by adb. A name that
            was started before has the disk it had then.
        cache: folder of the cache; none means `$EDGEDISTILL_CACHE` or `~/.cache/edgedistill`.
        progress: where a build reports.

    Raises:
        InputError: the name cannot be used, or a board of this name runs already.
        UnsupportedError: this machine cannot run one: system, kernel, user.
        DependencyError: a tool is missing, or something cannot be downloaded.
        DeviceError: it does not start.
    """
    if choice.cpu_model not in CPU_MODELS:
        thing = f"CPU model '{choice.cpu_model}' of the emulated board"
        raise UnsupportedError(thing, found="not known", fix=nearest(choice.cpu_model, CPU_MODELS))
    chosen = name or choice.cpu_model + ("-adb" if choice.link is Link.ADB else "")
    if not NAME.fullmatch(chosen):
        raise InputError(f"name '{chosen}' of a board", found="not usable", wanted="small letters, digits and -")
    check_machine()
    root = ensure_root(cache=cache, progress=progress)
    folder = boards_folder(cache) / chosen
    with _lock(folder) as lock_fd:
        return _start(chosen, choice, root, folder, lock_fd)


def stop(name: str, *, cache: Path | None = None, remove: bool = False) -> None:
    """End a board as a power cut would; its disk is kept unless it is removed.

    Raises:
        InputError: there is no such board.
    """
    board = named(name, cache=cache)
    if board.running:
        _end(board)
    if remove:
        shutil.rmtree(board.folder)


def named(name: str, *, cache: Path | None = None) -> EmulatedBoard:
    """Return one board.

    Raises:
        InputError: there is none of this name.
    """
    known = {board.name: board for board in boards(cache=cache)}
    if name not in known:
        raise InputError(f"emulated board '{name}'", found="not known", fix=nearest(name, known))
    return known[name]


def boards(*, cache: Path | None = None) -> list[EmulatedBoard]:
    """Return every board that has a folder, by name, whether it runs or not."""
    return [_from_record(path) for path in sorted(boards_folder(cache).glob(f"*/{RECORD}"))]


def boards_folder(cache: Path | None = None) -> Path:
    """Return where boards are kept."""
    return (cache or cache_folder()).absolute() / "boards"


def check_machine() -> None:
    """See that this machine can run a board.

    Raises:
        UnsupportedError: it is not Linux, too old, or we are not root.
        DependencyError: a tool is missing.
    """
    thing = "emulated board"
    if sys.platform != "linux":
        raise UnsupportedError(thing, found=sys.platform, wanted="Linux on x86_64")
    kernel = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    if kernel < OLDEST_KERNEL:
        wanted = f"{'.'.join(map(str, OLDEST_KERNEL))} or newer"
        raise UnsupportedError(thing, found=f"Linux {os.uname().release}", wanted=wanted)
    if os.geteuid() != 0:
        fix = "start it with sudo; the address `emulated:CPU` needs no root"
        raise UnsupportedError(thing, found="not root, which mapping the board's users needs", fix=fix)
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        fix = "apt-get install util-linux mount coreutils openssh-client"
        raise DependencyError(thing, found=f"no {', no '.join(missing)}", fix=fix)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[int]:
    """Give the file that the board's processes hold locked as long as they live.

    Raises:
        InputError: a board holds it already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            fix = f"edgedistill devices emulate stop {folder.name}"
            raise InputError(f"emulated board '{folder.name}'", found="it runs already", fix=fix) from error
        yield file.fileno()


def _start(name: str, choice: BoardChoice, root: BoardRoot, folder: Path, lock_fd: int) -> EmulatedBoard:
    _make_disk(folder, root, choice.link)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(listener, folder)
        listener.listen()
        (folder / "boot_id").write_text(f"{uuid.uuid4()}\n", "utf-8")
        port = listener.getsockname()[1]
        _write_clients(folder, name, choice.link, port, root)
        settings = init.Settings(
            root=str(root.path),
            qemu=str(root.environment.qemu.resolve()),
            disk=str(folder / "disk"),
            disk_mb=choice.disk_mb,
            boot_id=str(folder / "boot_id"),
            hidden=(PACKAGES_OF_PYTHON,) if choice.bare else (),
            command=DAEMONS[choice.link],
            port=PORTS[choice.link],
            listener_fd=listener.fileno(),
            environment=_variables(choice),
        )
        process = _booted(settings, folder, lock_fd)
    threading.Thread(target=process.wait, daemon=True).start()  # so that no zombie is left of it while we live
    _write_record(folder, choice, port=port, process=process.pid)
    board = EmulatedBoard(name, folder, choice, port, process.pid, running=True)
    try:
        _wait_until_it_answers(board, process)
    except BaseException:
        _end(board)
        raise
    return board


def _variables(choice: BoardChoice) -> dict[str, str]:
    """Return what the board's programs see: what all emulated ones do, and packages that its users install."""
    shared = {name: value for name, value in BOARD_VARIABLES.items() if name != "PYTHONNOUSERSITE"}
    return {**shared, "QEMU_CPU": choice.cpu_model, "HOME": "/home/root", "SHELL": "/bin/sh"}


def _bind(listener: socket.socket, folder: Path) -> None:
    """Take the port the board had before, so that its address stays the same, else any."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        listener.bind(("127.0.0.1", int(json.loads((folder / RECORD).read_text("utf-8"))["port"])))
        return
    listener.bind(("127.0.0.1", 0))


def _booted(settings: init.Settings, folder: Path, lock_fd: int) -> subprocess.Popen[bytes]:
    """Start process 1, map the board's users to this machine's, and let it go on."""
    (folder / "settings.json").write_text(json.dumps(asdict(settings)), "utf-8")
    command = ("unshare", "--user", "--mount", "--pid", "--net", "--uts", "--fork", "--kill-child", "--")
    program = (sys.executable, "-I", init.__file__, str(folder / "settings.json"))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            (*command, *program),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(settings.listener_fd, lock_fd),
        )
    _map_users(process.pid, folder)
    assert process.stdin is not None  # noqa: S101 - because of PIPE
    with process.stdin as word:
        word.write(f"{init.GO}\n".encode())
    return process


def _map_users(process: int, folder: Path) -> None:
    """Write the users of a new namespace from outside, which needs no helper program."""
    ours = Path("/proc/self/ns/user").readlink()
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{process}/ns/user").readlink() != ours:
                for name in ("uid_map", "gid_map"):
                    Path(f"/proc/{process}/{name}").write_text(f"0 0 {MAPPED_USERS}", "utf-8")
                return
        time.sleep(0.02)
    raise DeviceError(f"emulated board '{folder.name}'", found=f"no namespaces; {_said(folder)}")


def _make_disk(folder: Path, root: BoardRoot, link: Link) -> None:
    """Make what the board keeps, where it is missing: homes that take the board's key, and its host key."""
    disk = folder / "disk"
    (disk / "ssh").mkdir(parents=True, exist_ok=True)
    (disk / "home/data/local/tmp").mkdir(parents=True, exist_ok=True)
    if link is Link.SSH and not (folder / "id").exists():
        _key_of_user(folder)
    for user, number in USERS.items():
        home = disk / "home" / user
        if not home.exists():
            (home / ".ssh").mkdir(parents=True)
            if link is Link.SSH:
                shutil.copyfile(folder / "id.pub", home / ".ssh/authorized_keys")
            for path in (home, *home.rglob("*")):
                path.chmod(0o700 if path.is_dir() else 0o600)
                os.chown(path, number, number)
    if link is Link.SSH and not (disk / "ssh/host_key").exists():
        _key_of_host(disk / "ssh", root)


def _key_of_user(folder: Path) -> None:
    done = run_tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", folder.name, "-f", str(folder / "id"))
    if done.returncode:
        raise DependencyError("`ssh-keygen`", found=last_words(done))


def _key_of_host(folder: Path, root: BoardRoot) -> None:
    """Make the SSH server's own key, and keep its public half, so that clients know it from the first connection."""
    done = root.environment.run(
        root.path / "usr/bin/dropbearkey",
        ("-t", "ed25519", "-f", str(folder / "host_key")),
        cpu_model=DEFAULT_CPU_MODEL,
        folder=folder,
        timeout_s=START_TIMEOUT_S,
    )
    public = re.search(r"^ssh-ed25519 \S+", done.stdout, re.MULTILINE)
    if done.returncode or public is None:
        raise DependencyError("`dropbearkey` of the emulated board", found=last_words(done))
    (folder / "host_key.pub").write_text(f"{public.group()}\n", "utf-8")


def _write_clients(folder: Path, name: str, link: Link, port: int, root: BoardRoot) -> None:
    """Write what a client needs to reach the board and no other."""
    if link is Link.ADB:
        # a server of its own, so that the user's goes on with the user's devices whatever its version
        script = f'#!/bin/sh\nANDROID_ADB_SERVER_PORT={_free_port()} exec "{root.adb}" "$@"\n'
        (folder / "adb").write_text(script, "utf-8")
        (folder / "adb").chmod(0o755)
        return
    public = (folder / "disk/ssh/host_key.pub").read_text("utf-8")
    (folder / "known_hosts").write_text(f"{name} {public}", "utf-8")
    (folder / "ssh_config").write_text(
        f"Host {name}\n"
        f"  HostName 127.0.0.1\n  Port {port}\n  User root\n  HostKeyAlias {name}\n"
        f'  IdentityFile "{folder}/id"\n  IdentitiesOnly yes\n  UserKnownHostsFile "{folder}/known_hosts"\n'
        "  StrictHostKeyChecking yes\n",
        "utf-8",
    )


def _free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])


def _wait_until_it_answers(board: EmulatedBoard, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise DeviceError(f"emulated board '{board.name}'", found=f"it ended at once; {_said(board.folder)}")
        if _answers(board):
            return
        time.sleep(0.2)
    raise DeviceError(
        f"emulated board '{board.name}'", found=f"no answer in {START_TIMEOUT_S:g} s; {_said(board.folder)}"
    )


def _answers(board: EmulatedBoard) -> bool:
    if board.choice.link is Link.SSH:
        command = ("ssh", "-F", str(board.ssh_config), "-o", "BatchMode=yes", board.name, "true")
        return run_tool(*command, timeout_s=START_TIMEOUT_S).returncode == 0
    serial = f"127.0.0.1:{board.port}"
    run_tool(str(board.adb), "connect", serial, timeout_s=START_TIMEOUT_S)
    return run_tool(str(board.adb), "-s", serial, "shell", "true", timeout_s=START_TIMEOUT_S).returncode == 0


def _end(board: EmulatedBoard) -> None:
    """Kill process 1 of the board: the kernel then ends everything inside."""
    if board.choice.link is Link.ADB:
        run_tool(str(board.adb), "kill-server", timeout_s=START_TIMEOUT_S)
    for process in (*_children(board.process), board.process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    end = time.monotonic() + START_TIMEOUT_S
    while _is_locked(board.folder / "lock") and time.monotonic() < end:
        time.sleep(0.02)


def _children(process: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text("utf-8").split()]
    except OSError:
        return []


def _write_record(folder: Path, choice: BoardChoice, *, port: int, process: int) -> None:
    beside = folder / f"{RECORD}.new"
    beside.write_text(json.dumps({"choice": asdict(choice), "port": port, "process": process}, indent=1), "utf-8")
    beside.rename(folder / RECORD)


def _from_record(path: Path) -> EmulatedBoard:
    record = json.loads(path.read_text("utf-8"))
    choice = BoardChoice(**{**record["choice"], "link": Link(record["choice"]["link"])})
    running = _is_locked(path.with_name("lock"))
    return EmulatedBoard(path.parent.name, path.parent, choice, record["port"], record["process"], running)


def _is_locked(path: Path) -> bool:
    """Tell whether some process holds a lock; the kernel gives it back when the last one that has it ends."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _said(folder: Path) -> str:
    return f"its log says: {(folder / 'log').read_text('utf-8', errors='replace').strip()[-400:] or 'nothing'}"
