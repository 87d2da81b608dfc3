"""Runs tools of this workstation that a build needs: apt-get, dpkg-deb, pip, qemu."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from edgedistill.devices.base import Completed
from edgedistill.errors import DependencyError

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 1800.0
SHOWN_CHARACTERS = 400


def run_tool(*command: str, folder: Path | None = None, timeout_s: float = TIMEOUT_S) -> Completed:
    """Run a tool and wait; its messages are in English.

    It stays in this process's group, so that an interrupt from the keyboard ends both.

    Args:
        command: program and arguments; no shell reads them.
        folder: where it starts; none means the current one.
        timeout_s: after which it is stopped, in seconds.

    Raises:
        DependencyError: there is no such tool, or it does not end.
    """
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(  # noqa: S603 - commands are built here, and no shell reads them
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DependencyError(f"`{command[0]}`", found=f"no end within {timeout_s:.0f} s") from error
    except OSError as error:
        raise DependencyError(f"`{command[0]}`", found=str(error.strerror)) from error
    return Completed(done.returncode, done.stdout, done.stderr)


def last_words(done: Completed) -> str:
    """Return the end of what a failed tool said, on one line."""
    words = " ".join(done.stderr.split()).rstrip(".")
    return words[-SHOWN_CHARACTERS:] or f"it ended with {done.returncode} and said nothing"
