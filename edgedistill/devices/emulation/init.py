"""Process 1 of an emulated board: mounts its root, starts its daemon, passes connections on to it.

Started by `boards.py` with this workstation's Python, as a program of its own, in new user, mount, process and network
namespaces. Nothing it does is seen outside of them, and everything ends with it. It needs only the standard library.

The board's network holds nothing but a loopback device. The listening socket was made outside, before the namespaces,
and is inherited: who connects to it is passed on to the daemon's port inside. So adb's daemon, which listens on all
addresses and asks nobody who he is, can be reached from this workstation only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

GO = "go"
BLOCK_BYTES = 65536
DAEMON_TIMEOUT_S = 30.0
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
DEVICE_NODES = ("null", "zero", "full", "random", "urandom", "tty")
# All aarch64 ELF files are handed to the emulator. `F` opens it now, so that a chroot finds it; `P` keeps argv[0].
BINFMT = (
    r":qemu-aarch64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:{qemu}:OPF"
)


@dataclass(frozen=True)
class Settings:
    """What a board is made of.

    Args:
        root: folder of the root; it is mounted for reading only.
        qemu: path of the emulator.
        disk: folder of what the board keeps: `home` and `ssh`.
        disk_mb: none mounts the disk's `home`; a number gives that many MB of memory instead, lost at power-off.
        boot_id: file that stands for the kernel's boot identifier.
        hidden: folders of the root that the board does not have.
        command: the daemon, and its arguments.
        port: on which the daemon listens inside.
        listener_fd: the socket that listens outside.
        environment: everything the daemon sees of an environment, and by it every program.
    """

    root: str
    qemu: str
    disk: str
    disk_mb: int | None
    boot_id: str
    hidden: tuple[str, ...]
    command: tuple[str, ...]
    port: int
    listener_fd: int
    environment: dict[str, str]


def main() -> int:
    """Wait for the word that the user namespace has its users, then become the board."""
    place = sys.argv[1]
    if sys.argv[2:] != ["mapped"]:
        if sys.stdin.readline().strip() != GO:
            return 1
        # capabilities in the new namespace come with an exec after the users are mapped
        os.execv(sys.executable, [sys.executable, "-I", __file__, place, "mapped"])  # noqa: S606 - this very program
    settings = Settings(**json.loads(Path(place).read_text("utf-8")))
    _mount_all(settings)
    _loopback_up()
    command = (shutil.which("chroot") or "/usr/sbin/chroot", settings.root, *settings.command)
    daemon = subprocess.Popen(command, env=settings.environment, stdin=subprocess.DEVNULL)  # noqa: S603 - no shell
    _wait_for_port(settings.port)
    threading.Thread(target=_relay, args=(settings.listener_fd, settings.port), daemon=True).start()
    return _reap_until_end_of(daemon.pid)


def _mount_all(settings: Settings) -> None:
    root = settings.root
    _register_emulator(settings.qemu)
    _mount("--bind", root, root)
    _mount("-t", "proc", "proc", f"{root}/proc")
    _mount("-t", "tmpfs", "-o", "mode=755", "dev", f"{root}/dev")
    for name in DEVICE_NODES:
        Path(f"{root}/dev/{name}").touch()
        _mount("--bind", f"/dev/{name}", f"{root}/dev/{name}")
    for name in ("pts", "shm"):
        Path(f"{root}/dev/{name}").mkdir()
    _mount("-t", "devpts", "-o", "newinstance,ptmxmode=0666", "devpts", f"{root}/dev/pts")
    Path(f"{root}/dev/ptmx").symlink_to("pts/ptmx")
    for name, mode in (("dev/shm", "1777"), ("tmp", "1777"), ("run", "755")):
        _mount("-t", "tmpfs", "-o", f"mode={mode}", "memory", f"{root}/{name}")
    _mount_disk(settings)
    _mount("--bind", f"{settings.disk}/ssh", f"{root}/etc/dropbear")
    _mount("--bind", settings.boot_id, f"{root}/proc/sys/kernel/random/boot_id")
    for hidden in settings.hidden:
        _mount("-t", "tmpfs", "-o", "mode=755,ro", "hidden", f"{root}{hidden}")
    _mount("-o", "remount,bind,ro", root)


def _mount_disk(settings: Settings) -> None:
    home = f"{settings.root}/home"
    if settings.disk_mb is None:
        _mount("--bind", f"{settings.disk}/home", home)
        return
    _mount("-t", "tmpfs", "-o", f"mode=755,size={settings.disk_mb}m", "disk", home)
    subprocess.run(("cp", "-a", f"{settings.disk}/home/.", home), check=True)  # noqa: S603, S607 - fixed words


def _mount(*arguments: str) -> None:
    subprocess.run(("mount", *arguments), check=True)  # noqa: S603, S607 - a tool of every Linux, no shell


def _register_emulator(qemu: str) -> None:
    """Have the kernel start aarch64 programs in the emulator: in this user namespace only (Linux 6.7 and newer)."""
    _mount("-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc")
    Path("/proc/sys/fs/binfmt_misc/register").write_text(BINFMT.format(qemu=qemu), "utf-8")


def _loopback_up() -> None:
    with socket.socket() as some:
        fcntl.ioctl(some, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def _wait_for_port(port: int) -> None:
    end = time.monotonic() + DAEMON_TIMEOUT_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)


def _relay(listener_fd: int, port: int) -> None:
    with socket.socket(fileno=listener_fd) as listener:
        while True:
            outside, _ = listener.accept()
            threading.Thread(target=_pass_on, args=(outside, port), daemon=True).start()


def _pass_on(outside: socket.socket, port: int) -> None:
    try:
        inside = socket.create_connection(("127.0.0.1", port))
    except OSError:
        outside.close()
        return
    back = threading.Thread(target=_pump, args=(inside, outside), daemon=True)
    back.start()
    _pump(outside, inside)
    back.join()
    inside.close()
    outside.close()


def _pump(source: socket.socket, into: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(BLOCK_BYTES):
            into.sendall(block)
    with contextlib.suppress(OSError):
        into.shutdown(socket.SHUT_WR)


def _reap_until_end_of(daemon: int) -> int:
    """Wait for every orphan, as process 1 has to, until the daemon ends."""
    while True:
        process, status = os.wait()
        if process == daemon:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
