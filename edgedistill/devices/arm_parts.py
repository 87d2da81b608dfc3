"""The parts of the emulated ARM64 board, each fetched and checked on its own: packages, wheels, QEMU, root."""

from __future__ import annotations

import re
import shutil
import sys
import zipfile
from typing import TYPE_CHECKING

from edgedistill.devices.debian import download_from_any, unpack, unpack_one
from edgedistill.devices.host_tools import last_words, run_tool
from edgedistill.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PYTHON = "3.11"
SUITE = "bookworm"
PACKAGES = (
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "zlib1g",
    "libexpat1",
    "libffi8",
    "libbz2-1.0",
    "liblzma5",
    "libssl3",
    "libuuid1",
    "libcrypt1",
    f"python{PYTHON}-minimal",
    f"libpython{PYTHON}-minimal",
    f"libpython{PYTHON}-stdlib",
)
"""What Python, numpy and ONNX Runtime load, found by running them; none of their scripts is run."""

HOST_ARCHITECTURE = "amd64"
OLDEST_QEMU = 10
"""QEMU 7.2 gives the program the host's /proc/cpuinfo, and `import onnxruntime` crashes on it; 10 emulates it."""
QEMU_SUITES = ("bookworm-backports", "trixie")
QEMU = "qemu-aarch64"
QEMU_NAMES = (QEMU, f"{QEMU}-static")

WHEEL_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
WHEEL_SHA256 = {
    "numpy==2.4.6": "0ab0a9c4ffb1a6d95ef519fe4247dba8eb6b18ad93999f76b7f657039acabd47",
    "onnxruntime==1.32.0": "2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c",
}
"""Of the versions in constraints.txt; for others pip checks the hash that the package index names."""
NOT_UNPACKED = re.compile(r"numpy/.*/tests/|onnxruntime/(transformers|quantization|tools)/")

BOARD_CORES = 4
"""As a Raspberry Pi has. ONNX Runtime reads them from sysfs and warns when it finds nothing there."""


def fetch_packages(into: Path) -> None:
    """Download the arm64 packages into a folder, beside apt's own files in `apt/`.

    Raises:
        DependencyError: no mirror has them.
    """
    download_from_any(PACKAGES, suites=(SUITE,), architecture="arm64", into=into)


def fetch_wheel(requirement: str, into: Path) -> None:
    """Download the aarch64 wheel of one package into a folder.

    Args:
        requirement: "onnxruntime==1.32.0", or "numpy<=2.9" for the newest that this board's Python takes.
        into: the folder; exists.

    Raises:
        DependencyError: there is no pip, no network, or no such wheel.
    """
    digest = WHEEL_SHA256.get(requirement)
    listed = into / "requirements.txt"
    listed.write_text(f"{requirement} --hash=sha256:{digest}\n" if digest else f"{requirement}\n", "utf-8")
    platforms = (part for name in WHEEL_PLATFORMS for part in ("--platform", name))
    command = (
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
        *("--python-version", PYTHON, "--implementation", "cp", "--abi", f"cp{PYTHON.replace('.', '')}"),
        *platforms,
        *("--dest", str(into), "--requirement", str(listed)),
    )
    done = run_tool(*command)
    listed.unlink()
    if done.returncode or not list(into.glob("*.whl")):
        raise DependencyError(f"aarch64 wheel of {requirement}", found=last_words(done))


def fetch_qemu(into: Path) -> None:
    """Put `qemu-aarch64` of version 10 or newer into a folder: a link to this machine's own, else Debian's.

    Raises:
        DependencyError: neither is to be had.
    """
    program, own = into / QEMU, host_qemu()
    if own is not None:
        program.symlink_to(own)
        return
    download_from_any(("qemu-user",), suites=QEMU_SUITES, architecture=HOST_ARCHITECTURE, into=into)
    (package,) = into.glob("qemu-user_*.deb")
    unpack_one(package, f"./usr/bin/{QEMU}", program)
    package.unlink()
    program.chmod(0o755)
    found = qemu_version(program)
    if found < OLDEST_QEMU:
        raise DependencyError(
            f"package '{package.name}'", found=f"qemu-aarch64 of version {found}", wanted=f"{OLDEST_QEMU} or newer"
        )


def host_qemu() -> str | None:
    """Return the path of this machine's own qemu-aarch64, if it has one that is new enough."""
    paths = filter(None, map(shutil.which, QEMU_NAMES))
    return next((path for path in paths if qemu_version(path) >= OLDEST_QEMU), None)


def qemu_version(program: Path | str) -> int:
    """Return the major version that a qemu program names; 0 when it does not run."""
    try:
        done = run_tool(str(program), "--version", timeout_s=60)
    except DependencyError:
        return 0
    match = re.search(r"version (\d+)", done.stdout)
    return int(match.group(1)) if match else 0


def make_rootfs(into: Path, *, packages: Iterable[Path], wheels: Iterable[Path]) -> None:
    """Unpack packages and wheels into the board's root, and write the CPU list its programs look for.

    Raises:
        DependencyError: a file is damaged.
    """
    for package in sorted(packages):
        unpack(package, into)
    site = into / "usr/lib/python3/dist-packages"
    for wheel in sorted(wheels):
        _unpack_wheel(wheel, site)
    for folder in ("doc", "man", "locale", "lintian"):
        shutil.rmtree(into / "usr/share" / folder, ignore_errors=True)
    cpus = into / "sys/devices/system/cpu"
    cpus.mkdir(parents=True)
    for name in ("possible", "present", "online"):
        (cpus / name).write_text(f"0-{BOARD_CORES - 1}\n", "utf-8")


def _unpack_wheel(wheel: Path, site: Path) -> None:
    site.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site, [name for name in archive.namelist() if not NOT_UNPACKED.match(name)])
    except zipfile.BadZipFile as error:
        raise DependencyError(f"wheel '{wheel.name}'", found=str(error)) from error
