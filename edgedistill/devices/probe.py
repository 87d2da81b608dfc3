"""What a device says of itself: a small program for its Python, and how its answer is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edgedistill.devices.base import DeviceFacts
from edgedistill.errors import DeviceError

if TYPE_CHECKING:
    from edgedistill.devices.base import Completed
    from edgedistill.evaluate.executor import Execution

TIMEOUT_S = 120.0

# Runs on Python 3.8. It reads the versions from the installed packages' own records, because importing numpy
# and onnxruntime takes seconds on a small board.
PROGRAM = """
import json, os, platform
from importlib import metadata

facts = {"python": platform.python_version(), "cores": str(os.cpu_count()), "system": platform.platform()}
for package in ("numpy", "onnxruntime"):
    try:
        facts[package] = metadata.version(package)
    except metadata.PackageNotFoundError:
        pass
for path, names in (
    ("/proc/cpuinfo", {"model name": "cpu", "CPU implementer": "cpu implementer", "CPU part": "cpu part",
                       "Features": "features"}),
    ("/proc/meminfo", {"MemTotal": "memory"}),
):
    try:
        with open(path) as file:
            lines = file.read().splitlines()
    except OSError:
        continue
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in names:
            facts.setdefault(names[key.strip()], value.strip())
print(json.dumps({"machine": platform.machine(), "facts": facts}))
"""


def facts_from_answer(done: Completed, *, device: str, execution: Execution) -> DeviceFacts:
    """Return what the program above printed.

    Raises:
        DeviceError: the device has no Python that runs it.
    """
    try:
        answer = json.loads(done.stdout)
        machine, facts = str(answer["machine"]), {str(key): str(value) for key, value in answer["facts"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeviceError(
            f"device {device}",
            found=f"Python there ended with {done.returncode}: {done.stderr.strip()[-400:]}",
            wanted="Python 3.8 or newer",
        ) from error
    return DeviceFacts(name=device, machine=machine, execution=execution, facts=facts)
