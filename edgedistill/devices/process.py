"""Runs one command on this workstation and ends the whole family of it when its time is over."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from edgedistill.devices.base import Completed
from edgedistill.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NOT_FOUND = 127
"""What a shell returns for a command that does not exist."""


def run_process(
    command: Sequence[str], *, device: str, folder: Path, environment: Mapping[str, str], timeout_s: float
) -> Completed:
    """Run a command and wait.

    Args:
        command: program and arguments; no shell reads them.
        device: whose name an error carries.
        folder: where it starts.
        environment: everything the process sees.
        timeout_s: after which the process and its children are killed, in seconds.

    Returns:
        Its output as text; return code 127 when the program does not exist, negative when a signal ended it.

    Raises:
        DeviceError: the time is over.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - running the caller's command is what a device is for
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # so that grandchildren can be ended too
        )
    except FileNotFoundError as error:
        return Completed(NOT_FOUND, "", f"{command[0]}: {error.strerror}")
    try:
        stdout, stderr = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        _end(process)
        raise DeviceError(
            f"command `{command[0]}` on {device}", found=f"no end within {timeout_s:g} s; it was stopped"
        ) from error
    except BaseException:  # an interrupted run leaves nothing running
        _end(process)
        raise
    return Completed(process.returncode, stdout, stderr)


def _end(process: subprocess.Popen[str]) -> None:
    if sys.platform == "win32":  # there are no process groups
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):  # not read to the end: a child that got away may hold it
        if stream is not None:
            stream.close()
