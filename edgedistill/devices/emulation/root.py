"""Builds the root of the emulated board that boots: the environment's, with a shell, an SSH server and adb's daemon."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.devices import arm_environment, arm_parts
from edgedistill.devices.arm_environment import ArmEnvironment
from edgedistill.devices.build_lock import only_one
from edgedistill.devices.debian import download_from_any, unpack
from edgedistill.errors import ResourceError
from edgedistill.progress import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Iterable

BUILD_VERSION = 1
"""Counted up when the same packages have to be put together in another way."""
PACKAGES = (
    "busybox-static",
    "dropbear-bin",
    "libtommath1",
    "libtomcrypt1",
    "libgmp10",
    "openssh-sftp-server",
    "libselinux1",
    "libpcre2-8-0",
    "libbrotli1",
    "liblz4-1",
    "libprotobuf32",
    "libsystemd0",
    "libzstd1",
    "libcap2",
    "libgcrypt20",
    "libgpg-error0",
    "libfmt9",
)
"""Shell, SSH server, file transfer, and what adb's daemon loads; found by running them."""
ADBD_PACKAGES = ("adbd", "android-liblog", "android-libbase", "android-libboringssl", "android-libcutils")
ADBD_SUITES = ("bookworm-backports",)
ADB_PACKAGES = (
    "adb",
    "android-libbase",
    "android-libboringssl",
    "android-libcutils",
    "android-liblog",
    "libusb-1.0-0",
)
"""The client, for this machine's own architecture, unpacked beside the board where this machine has none."""
PLATFORM_TOOLS = "usr/lib/android-sdk/platform-tools"
LIBRARIES = "usr/lib/aarch64-linux-gnu"
COMMANDS = (
    *("[", "cat", "chmod", "cp", "cut", "date", "dd", "df", "du", "echo", "env", "expr", "false", "find", "free"),
    *("grep", "gzip", "head", "hostname", "id", "kill", "ln", "ls", "mkdir", "mktemp", "mv", "nice", "nproc", "od"),
    *("printf", "ps", "pwd", "readlink", "rm", "rmdir", "sed", "setsid", "sh", "sha256sum", "sleep", "sort", "stat"),
    *("sync", "tail", "tar", "taskset", "test", "timeout", "touch", "tr", "true", "uname", "uptime", "wc", "which"),
)
USERS = {"root": 0, "edge": 1000}
"""Who can log in, with the key of the board; each has a folder in /home."""
MARKER = "etc/edgedistill-emulated"
"""What tells every program there, and who probes it, that the board's time is no device's."""
MODEL = "Emulated ARM64 board (QEMU)"


@dataclass(frozen=True)
class BoardRoot:
    """What a booting board is made of; shared by all boards, written by none.

    Args:
        environment: root folder, emulator and versions, in a folder of their own.
    """

    environment: ArmEnvironment

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.environment.folder

    @property
    def path(self) -> Path:
        """The root folder."""
        return self.environment.rootfs

    @property
    def adb(self) -> str:
        """The adb client: this machine's own, else the one beside the board."""
        return shutil.which("adb") or str(self.folder / "adb")


def ensure_root(*, cache: Path | None = None, progress: Progress = SILENT) -> BoardRoot:
    """Return the root; build it, and the environment, where they are missing.

    Args:
        cache: folder of the cache; none means `$EDGEDISTILL_CACHE` or `~/.cache/edgedistill`.
        progress: where the build reports.

    Raises:
        UnsupportedError: this machine is not Linux on x86-64.
        DependencyError: a tool is missing, or something cannot be downloaded.
        ResourceError: there is not enough room, or the cache cannot be written.
    """
    environment = arm_environment.ensure(cache=cache, progress=progress)
    folder = root_folder(environment)
    if not folder.exists():
        try:
            with only_one(folder.with_suffix(".lock")):
                if not folder.exists():
                    _build(folder, environment, progress)
        except OSError as error:
            fix = "set EDGEDISTILL_CACHE to a folder that can be written and has room"
            raise ResourceError(f"folder '{folder.parent}'", found=str(error), fix=fix) from error
    return BoardRoot(ArmEnvironment(folder, environment.versions))


def root_folder(environment: ArmEnvironment) -> Path:
    """Return where the root of an environment is, or would be."""
    parts = (str(BUILD_VERSION), *PACKAGES, *ADBD_PACKAGES, *ADB_PACKAGES, *COMMANDS, *USERS)
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]
    return environment.folder.with_name(f"{environment.folder.name}-board-{key}")


def _build(folder: Path, environment: ArmEnvironment, progress: Progress) -> None:
    work = Path(tempfile.mkdtemp(prefix=f"{folder.name}-new-", dir=folder.parent))
    try:
        with progress.track("build the root of the emulated board", total=4) as tracker:
            for name, packages, suites, architecture in (
                ("shell", PACKAGES, (arm_parts.SUITE,), "arm64"),
                ("adbd", ADBD_PACKAGES, ADBD_SUITES, "arm64"),
                ("adb", ADB_PACKAGES, (arm_parts.SUITE,), arm_parts.HOST_ARCHITECTURE),
            ):
                (work / name).mkdir()
                download_from_any(packages, suites=suites, architecture=architecture, into=work / name)
                tracker.advance(note="downloading")
            make_root(
                work / "rootfs", environment.rootfs, packages=(*work.glob("shell/*.deb"), *work.glob("adbd/*.deb"))
            )
            (work / arm_parts.QEMU).symlink_to(environment.qemu)
            _make_client(work, folder)
            for name in ("shell", "adbd"):
                shutil.rmtree(work / name)
            tracker.advance()
        work.chmod(0o755)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def make_root(into: Path, base: Path, *, packages: Iterable[Path]) -> None:
    """Make a root out of another one, whose files it shares, and packages, and give it users and commands.

    Raises:
        DependencyError: a package is damaged.
    """
    shutil.copytree(base, into, symlinks=True, copy_function=os.link)
    for package in sorted(packages):
        unpack(package, into)
    for folder in ("dev", "proc", "tmp", "run", "home", "etc/dropbear", "bin", "usr/bin", "usr/share/empty"):
        (into / folder).mkdir(parents=True, exist_ok=True)
    for name in COMMANDS:
        if not (into / "bin" / name).exists():
            (into / "bin" / name).symlink_to("busybox")
    if not (into / "usr/bin/python3").exists():
        (into / "usr/bin/python3").symlink_to(f"python{arm_parts.PYTHON}")
    for library in (into / LIBRARIES / "android").glob("*.so*"):  # found there without a variable that all would see
        (into / LIBRARIES / library.name).symlink_to(f"android/{library.name}")
    (into / "data").symlink_to("home/data")  # where adb's shell may write
    _write_users(into / "etc")
    (into / MARKER).write_text("The time this board takes says nothing of any device.\n", "utf-8")


def _write_users(etc: Path) -> None:
    users = (f"{name}:x:{number}:{number}:{name}:/home/{name}:/bin/sh\n" for name, number in USERS.items())
    (etc / "passwd").write_text("".join(users), "utf-8")
    (etc / "group").write_text("".join(f"{name}:x:{number}:\n" for name, number in USERS.items()), "utf-8")
    (etc / "shells").write_text("/bin/sh\n", "utf-8")
    (etc / "hostname").write_text("emulated-board\n", "utf-8")


def _make_client(work: Path, folder: Path) -> None:
    """Unpack adb for this machine and write a script that starts it with its own libraries."""
    for package in sorted((work / "adb").glob("*.deb")):
        unpack(package, work / "client")
    shutil.rmtree(work / "adb")
    client = folder / "client"
    libraries = ":".join(
        str(client / place)
        for place in ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/android")
    )
    script = f'#!/bin/sh\nLD_LIBRARY_PATH="{libraries}" exec "{client}/{PLATFORM_TOOLS}/adb" "$@"\n'
    (work / "adb").write_text(script, "utf-8")
    (work / "adb").chmod(0o755)
