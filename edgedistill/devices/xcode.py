"""Runs the tests of an artifact's Swift package on an iPhone or iPad: `xcodebuild test`, on a Mac."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from edgedistill.errors import DependencyError, DeviceError, GateError, InputError

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "ios:"
IDENTIFIER = re.compile(r"[A-Fa-f0-9-]{8,64}")
PROJECT = "*/DeviceTests/DeviceTests.xcodeproj"
SCHEME = "DeviceTests"
TEAM = "DEVELOPMENT_TEAM"
GOLDEN = "no latency is reported"
"""What the benchmark says of golden samples that differ; see the Swift package's LatencyBenchmark."""
LAST_LINES = 5


def benchmark_log(
    artifact: Path, device: str, *, processes: int, seconds: float, samples: int, timeout_s: float
) -> str:
    """Return what the benchmark of a Swift package printed on a device, one recording a line among others.

    Args:
        artifact: a folder that `phone-coreml` wrote.
        device: "ios:ID", as `xcrun xctrace list devices` shows it.
        processes: fresh ones, one after another.
        seconds: of inference of all processes, for each choice of compute units.
        samples: inferences of all processes.
        timeout_s: after which xcodebuild is ended.

    Raises:
        InputError: the address has another form, the artifact has no Swift package, or no team is named.
        DependencyError: this is no Mac, or it has no Xcode.
        GateError: golden samples differ on the device.
        DeviceError: the tests could not be built or run, or took too long.
    """
    project = _project(artifact, device)
    program = _xcodebuild(device)
    environment = {
        **os.environ,
        "TEST_RUNNER_EDGEDISTILL_SAMPLES": str(-(-samples // processes)),
        "TEST_RUNNER_EDGEDISTILL_SECONDS": f"{seconds / processes:g}",
        "TEST_RUNNER_EDGEDISTILL_DEVICE": device,
    }
    command = _command(program, project, device, processes)
    thing = f"device '{device}'"
    try:
        done = subprocess.run(  # noqa: S603 - Apple's own tool on a project that was hashed
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(thing, found=f"xcodebuild gave no answer in {timeout_s:g} s", fix="unlock it") from error
    if GOLDEN in done.stdout:
        line = next(line for line in done.stdout.splitlines() if GOLDEN in line)
        raise GateError(f"golden samples on '{device}'", found=line.strip())
    if done.returncode:
        said = " / ".join(line.strip() for line in done.stdout.splitlines()[-LAST_LINES:])
        raise DeviceError(
            thing,
            found=f"xcodebuild ended with {done.returncode}: {said}",
            fix="connect and unlock it, and switch its developer mode on",
        )
    return done.stdout


def _project(artifact: Path, device: str) -> Path:
    if not IDENTIFIER.fullmatch(device.removeprefix(PREFIX)):
        raise InputError(
            f"device '{device}'", found="no identifier", wanted="ios:ID as `xcrun xctrace list devices` shows it"
        )
    found = sorted(artifact.glob(PROJECT))
    if not found:
        raise InputError(
            f"artifact '{artifact}'", found="no Swift package", wanted="one that target 'phone-coreml' built"
        )
    return found[0]


def _xcodebuild(device: str) -> str:
    program = shutil.which("xcodebuild")
    if sys.platform != "darwin" or program is None:
        raise DependencyError(
            f"device '{device}'",
            found=f"no xcodebuild on {sys.platform}",
            wanted="a Mac with Xcode",
            fix="copy the artifact to one and run the command of its README.txt; `bench import` reads what it prints",
        )
    if not os.environ.get(TEAM):
        raise InputError(
            f"device '{device}'",
            found=f"no {TEAM} in the environment",
            wanted="your team's identifier, which signs the tests, as Xcode's signing settings show it",
        )
    return program


def _command(program: str, project: Path, device: str, processes: int) -> list[str]:
    """Return the command; a pure function of its arguments but for the team's identifier."""
    return [
        program,
        "test",
        "-project",
        str(project),
        "-scheme",
        SCHEME,
        "-destination",
        f"platform=iOS,id={device.removeprefix(PREFIX)}",
        f"-only-testing:{SCHEME}/LatencyBenchmark",
        "-test-iterations",
        str(processes),
        "-test-repetition-relaunch-enabled",
        "YES",
        "-allowProvisioningUpdates",
        f"{TEAM}={os.environ[TEAM]}",
    ]
