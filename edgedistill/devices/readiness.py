"""What a device has and lacks to run artifacts: one check per line, each with the command that mends it."""

from __future__ import annotations

import re
import shlex
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.devices.remote import RemoteDevice
from edgedistill.devices.wheels import fetch_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedistill.devices.base import Device, DeviceFacts

OLDEST_PYTHON = (3, 8)
PACKAGES = ("numpy", "onnxruntime")
SAME_PACKAGE = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu")}
NEEDED_MB = 50
"""An artifact, its golden samples, the inputs of a verification and their outputs, some room."""
MACHINES = {"aarch64": "64-bit ARM", "arm64": "64-bit ARM", "x86_64": "64-bit x86"}
BITS = "64"


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    DIFFERS = "differs"  # works as a rule, but results are worth less, or the tests pass with something else
    MISSING = "missing"
    OPTIONAL = "optional"  # missing, and only some uses want it


@dataclass(frozen=True)
class Check:
    """One line of the doctor.

    Args:
        name: what was looked at.
        state: how it ended.
        found: what is there.
        fix: the command that mends it; empty when there is nothing to mend.
    """

    name: str
    state: State
    found: str
    fix: str = ""


def examined(device: Device, *, wheels: bool = False) -> list[Check]:
    """Return every check of a device.

    Args:
        device: to connect to.
        wheels: whether to download the wheels that it lacks and to copy them there.

    Raises:
        DeviceError: it cannot be reached.
        DependencyError: a wheel cannot be downloaded.
    """
    facts = device.describe()
    return list(_checks(device, facts, wheels=wheels))


def _checks(device: Device, facts: DeviceFacts, *, wheels: bool) -> Iterator[Check]:
    yield _machine(facts)
    python = _python(device, facts)
    yield python
    if python.state is State.OK:
        yield from _packages(device, facts, wheels=wheels)
    yield from _disk(facts)
    yield from _steadiness(device, facts)


def _machine(facts: DeviceFacts) -> Check:
    bits = facts.facts.get("python bits", BITS)
    if facts.machine not in MACHINES or bits != BITS:
        found = f"{facts.machine}, Python of {bits} bits"
        return Check("machine", State.MISSING, found, "install a 64-bit system: ONNX Runtime has no wheels for others")
    emulated = "; its time is no latency" if facts.execution == "emulated" else ""
    return Check("machine", State.OK, f"{facts.machine}, {MACHINES[facts.machine]}, {facts.execution}{emulated}")


def _python(device: Device, facts: DeviceFacts) -> Check:
    version = facts.facts.get("python", "")
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers >= OLDEST_PYTHON:
        return Check("python", State.OK, version)
    wanted = "Python 3.8 or newer"
    if "Android" in facts.facts.get("os", ""):
        fix = f"install {wanted} where its shell can start it, and give its path as `python` in devices.toml"
    else:
        fix = on_device(device, "sudo apt-get install -y python3")
    return Check("python", State.MISSING, version or facts.facts.get("python problem", "none"), fix)


def _packages(device: Device, facts: DeviceFacts, *, wheels: bool) -> Iterator[Check]:
    lacking = []
    for package in PACKAGES:
        names = SAME_PACKAGE.get(package, (package,))
        version = next((facts.facts[name] for name in names if name in facts.facts), "")
        if not version:
            lacking.append(package)
        elif package == "onnxruntime" and version != metadata.version(package).partition("+")[0]:
            yield Check(package, State.DIFFERS, f"{version}; here {metadata.version(package)}", _online(device, facts))
        else:
            yield Check(package, State.OK, version)
    if not lacking:
        return
    fix = _online(device, facts)
    if wheels and isinstance(device, RemoteDevice):
        fix = _offline(device, facts, lacking)
    for package in lacking:
        yield Check(package, State.MISSING, "not installed", fix)


def _online(device: Device, facts: DeviceFacts) -> str:
    """Return the command that installs what is missing, for a device with a network.

    A virtual environment, because Debian and Ubuntu let pip into no other place (PEP 668).
    """
    if "Android" in facts.facts.get("os", ""):
        return f"edgedistill devices doctor --wheels {shlex.quote(device.name)}"
    version = metadata.version("onnxruntime").partition("+")[0]
    place = "~/edgedistill-venv"
    install = f"python3 -m venv {place} && {place}/bin/pip install numpy onnxruntime=={version}"
    return (
        f'{on_device(device, install)}, then python = "HOME/edgedistill-venv/bin/python3" in devices.toml; '
        f"without a network: edgedistill devices doctor --wheels {shlex.quote(device.name)}"
    )


def _offline(device: RemoteDevice, facts: DeviceFacts, packages: list[str]) -> str:
    """Copy the wheels there, and return the command that unpacks them.

    A wheel is an archive of what belongs into the packages' folder; unpacking it needs no pip, and none of these two
    has anything else to install.
    """
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder) / "wheels"
        wheels.mkdir()
        fetch_wheels(packages, facts.facts, machine=facts.machine, into=wheels)
        place = device.push(wheels)
    python = shlex.quote(device.python)
    site = f'"$({python} -m site --user-site)"'
    quoted = shlex.quote(str(place))
    unpack = f'for w in {quoted}/*.whl; do {python} -m zipfile -e "$w" {site} || exit 1; done; rm -r {quoted}'
    return on_device(device, unpack)


def _disk(facts: DeviceFacts) -> Iterator[Check]:
    match = re.match(r"(\d+) MB", facts.facts.get("disk free", ""))
    if match is None:
        return
    enough = int(match.group(1)) >= NEEDED_MB
    fix = "" if enough else f"free {NEEDED_MB} MB there, or give another `folder` in devices.toml"
    yield Check("disk free", State.OK if enough else State.MISSING, facts.facts["disk free"], fix)


def _steadiness(device: Device, facts: DeviceFacts) -> Iterator[Check]:
    """Yield what makes times differ from one measurement to the next."""
    known = facts.facts
    if "governor" in known:
        steady = known["governor"] == "performance"
        command = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        fix = "" if steady else on_device(device, command)
        yield Check("governor", State.OK if steady else State.DIFFERS, known["governor"], fix)
    if "frequency limit" in known:
        yield Check("frequency limit", State.DIFFERS, known["frequency limit"], "raise scaling_max_freq")
    if "throttled" in known:
        state = State.OK if known["throttled"] == "no" else State.DIFFERS
        fix = "" if state is State.OK else "a stronger power supply, or a fan; start it anew to clear what was"
        yield Check("throttled", state, known["throttled"], fix)
    if "clock" in known:
        yield Check("clock", State.DIFFERS, known["clock"], on_device(device, "sudo timedatectl set-ntp true"))
    sensors = known.get("temperature sensors")
    yield Check("temperature sensors", State.OK if sensors else State.OPTIONAL, sensors or "none that can be read", "")


def on_device(device: Device, command: str) -> str:
    """Return the command line of this machine that runs a command on a device."""
    if not isinstance(device, RemoteDevice):
        return command
    return f"{device.transport.by_hand} {shlex.quote(command)}"
