"""What this machine has and lacks for a run: one check per line, each with the command that mends it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
from typing import TYPE_CHECKING

from edgedistill.devices.arm_environment import environment_state
from edgedistill.devices.readiness import Check, State
from edgedistill.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TESTED = {
    "torch": "2.13.0",
    "numpy": "2.4.6",
    "onnx": "1.23.2",
    "onnxscript": "0.7.2",
    "onnxruntime": "1.32.0",
}
"""The versions whose numbers the results depend on, as pinned in constraints.txt (a test compares them)."""
TESTED_PYTHON = "3.11"
NEEDED_BYTES = 2_000_000_000
"""Data set 31 MB, emulated board 175 MB, teacher outputs and training states of a small run, some room."""


def checks(*, cache: Path) -> Iterator[Check]:
    """Yield every check; `cache` is the folder in which teacher outputs and downloads are kept."""
    yield _python()
    for package, version in TESTED.items():
        yield _package(package, version)
    yield from _extras()
    yield _emulated_board(cache)
    yield _cache_folder(cache)
    yield _disk_space(cache)


def _python() -> Check:
    found = platform.python_version()
    if found.startswith(f"{TESTED_PYTHON}."):
        return Check("python", State.OK, found)
    return Check("python", State.DIFFERS, f"{found}; tested with {TESTED_PYTHON}")


def _package(name: str, tested: str) -> Check:
    fix = f"pip install {name}=={tested}"
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, State.MISSING, "not installed", fix)
    if found.partition("+")[0] == tested:  # "2.13.0+cpu" is 2.13.0
        return Check(name, State.OK, found)
    return Check(name, State.DIFFERS, f"{found}; tested with {tested}", fix)


def _extras() -> Iterator[Check]:
    """Yield one check per optional extra, but for `dev`, which is for those who change edgedistill."""
    if not _is_installed("edgedistill"):
        yield Check("edgedistill", State.MISSING, "not installed: no target is found", "pip install edgedistill")
        return
    metadata = importlib.metadata.metadata("edgedistill")
    for extra in metadata.get_all("Provides-Extra") or ():
        lacking = [name for name in _packages_of(extra) if not _is_installed(name)]
        if extra != "dev" and lacking:
            fix = f"pip install 'edgedistill[{extra}]'"
            yield Check(f"extra {extra}", State.OPTIONAL, f"not installed: {', '.join(lacking)}", fix)
        elif extra != "dev":
            yield Check(f"extra {extra}", State.OK, "installed")


def _packages_of(extra: str) -> list[str]:
    marker = re.compile(rf"extra == ['\"]{re.escape(extra)}['\"]")
    required = importlib.metadata.requires("edgedistill") or ()
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required if marker.search(line)]


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _emulated_board(cache: Path) -> Check:
    name = "emulated ARM64 board"
    try:
        state = environment_state(cache=cache)
    except DependencyError as error:  # without ONNX Runtime here, nobody knows which one the board wants
        return Check(name, State.OPTIONAL, str(error))
    if state.ready:
        return Check(name, State.OK, f"{state.size_bytes / 1e6:.0f} MB in {state.folder}")
    return Check(name, State.OPTIONAL, state.reason)  # the reason names the command


def _cache_folder(cache: Path) -> Check:
    existing = _existing(cache)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        fix = "set EDGEDISTILL_CACHE to a folder you may write to"
        return Check("cache folder", State.MISSING, f"{cache} cannot be written", fix)
    return Check("cache folder", State.OK, str(cache) if cache.exists() else f"{cache} (made when needed)")


def _disk_space(cache: Path) -> Check:
    free = shutil.disk_usage(_existing(cache)).free
    found = f"{free / 1e9:.1f} GB free at {cache}"
    if free >= NEEDED_BYTES:
        return Check("disk space", State.OK, found)
    fix = "free some space, or set EDGEDISTILL_CACHE to a folder on another disk"
    return Check("disk space", State.MISSING, f"{found}; wanted {NEEDED_BYTES / 1e9:.0f} GB", fix)


def _existing(path: Path) -> Path:
    """Return the path itself if it exists, else the nearest folder above it that does."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())
