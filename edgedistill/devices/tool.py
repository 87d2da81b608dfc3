"""Runs the client of a connection, ssh or adb, with files as its input and output."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

from edgedistill.devices.base import Completed
from edgedistill.errors import DependencyError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def run_client(
    command: Sequence[str], *, device: str, timeout_s: float, stdin: Path | None = None, stdout: Path | None = None
) -> Completed:
    """Run a client and wait; its messages are in English.

    Args:
        command: program and arguments; no shell of this machine reads them.
        device: whose name an error carries.
        timeout_s: after which it is stopped, in seconds.
        stdin: file to give it; none gives it nothing.
        stdout: file to write its output to; none returns it.

    Raises:
        UnreachableError: the time is over.
        DependencyError: this machine has no such program.
    """
    with contextlib.ExitStack() as files:
        source = subprocess.DEVNULL if stdin is None else files.enter_context(stdin.open("rb"))
        into = subprocess.PIPE if stdout is None else files.enter_context(stdout.open("wb"))
        try:
            # the shared connection of ssh outlives the command; its standard error must not be ours, or we wait for it
            done = subprocess.run(  # noqa: S603 - commands are built here, and no shell reads them
                command,
                stdin=source,
                stdout=into,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(f"device {device}", found=f"no answer within {timeout_s:g} s") from error
        except OSError as error:
            raise DependencyError(f"`{command[0]}`", found=str(error.strerror)) from error
    out = done.stdout or b""
    return Completed(done.returncode, out.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
