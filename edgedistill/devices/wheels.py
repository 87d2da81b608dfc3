"""Wheels for a device that has no network: chosen for its Python and its C library, downloaded here, copied there."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from typing import TYPE_CHECKING

from edgedistill.devices.host_tools import last_words, run_tool
from edgedistill.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

OLDEST_GLIBC = 17
"""manylinux2014 is glibc 2.17; PEP 599 and PEP 600."""
ONNXRUNTIME = "onnxruntime"


def platforms(machine: str, libc: str) -> tuple[str, ...]:
    """Return the platform tags that a device takes, newest first; none where its C library is not known.

    Args:
        machine: "aarch64".
        libc: "glibc 2.36".
    """
    match = re.fullmatch(r"glibc 2\.(\d+).*", libc)
    if not match:
        return ()
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(int(match.group(1)), OLDEST_GLIBC - 1, -1)]
    return (*tags, f"manylinux2014_{machine}")


def fetch_wheels(packages: Sequence[str], facts: Mapping[str, str], *, machine: str, into: Path) -> list[Path]:
    """Download the newest wheels that a device takes; of ONNX Runtime, this workstation's version if there is one.

    Args:
        packages: names.
        facts: the device's: `python` and `libc`.
        machine: the device's: "aarch64".
        into: folder; exists.

    Raises:
        DependencyError: there is no such wheel, no pip here, or no network.
    """
    python = ".".join(facts.get("python", "").split(".")[:2])
    tags = platforms(machine, facts.get("libc", ""))
    if not python or not tags:
        found = "its Python or its C library is not known"
        raise DependencyError(f"wheels for {machine}", found=found, wanted="Python 3.8 or newer and glibc")
    for package in packages:
        errors = [_fetched(requirement, python, tags, into) for requirement in _requirements(package)]
        if all(errors):
            raise DependencyError(f"wheel of {package} for Python {python} on {machine}", found=errors[-1])
    return sorted(into.glob("*.whl"))


def _requirements(package: str) -> tuple[str, ...]:
    """Return what to ask for in turn."""
    if package != ONNXRUNTIME:
        return (package,)
    try:
        return (f"{package}=={metadata.version(package).partition('+')[0]}", package)
    except metadata.PackageNotFoundError:
        return (package,)


def _fetched(requirement: str, python: str, tags: Sequence[str], into: Path) -> str:
    """Download one wheel if none of its package is there; return what went wrong, empty when nothing did."""
    package = re.split("[=<>]", requirement)[0]
    if list(into.glob(f"{package}-*.whl")):
        return ""
    done = run_tool(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
        *("--python-version", python, "--implementation", "cp", "--abi", f"cp{python.replace('.', '')}"),
        *(part for tag in tags for part in ("--platform", tag)),
        *("--dest", str(into), requirement),
    )
    return last_words(done) if done.returncode else ""
