"""What a device says of itself: two ways to read its files, and one reading of what they say.

A device is read whole and understood here, so that a device without Python can be probed too, and so that what was
seen on one board can be a test. What a device does not say is not in its facts: nothing is assumed.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from edgedistill.devices.probe_reading import facts_from_files, python_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedistill.devices.base import Completed, DeviceFacts
    from edgedistill.evaluate.executor import Execution

__all__ = [
    "PROGRAM",
    "TIMEOUT_S",
    "facts_from_answer",
    "facts_from_files",
    "files_from_text",
    "python_facts",
    "shell_program",
]

TIMEOUT_S = 120.0
LARGEST_FILE_BYTES = 65536

CPU = "/sys/devices/system/cpu"
FILES = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/kernel/random/boot_id",
    "/proc/device-tree/model",
    "/etc/os-release",
    "/etc/nv_tegra_release",
    "/etc/edgedistill-emulated",
    f"{CPU}/possible",
    f"{CPU}/online",
    f"{CPU}/isolated",
    f"{CPU}/cpu[0-9]*/cpufreq/scaling_governor",
    f"{CPU}/cpu[0-9]*/cpufreq/cpuinfo_max_freq",
    f"{CPU}/cpu[0-9]*/cpufreq/scaling_max_freq",
    f"{CPU}/cpu[0-9]*/regs/identification/midr_el1",
    "/sys/class/thermal/thermal_zone*/type",
    "/sys/class/thermal/thermal_zone*/temp",
    "/sys/class/hwmon/hwmon*/name",
    "/sys/class/hwmon/hwmon*/temp*_input",
    "/sys/class/power_supply/*/type",
    "/sys/class/power_supply/*/online",
    "/sys/class/power_supply/*/status",
)
COMMANDS = {
    "machine": "uname -m",
    "kernel": "uname -sr",
    "bits": "getconf LONG_BIT",
    "wall clock": "date +%s",
    "android": "getprop ro.build.version.release",
    "android model": "getprop ro.product.model",
    "android maker": "getprop ro.product.manufacturer",
    "android soc": "getprop ro.soc.model",
    "android board": "getprop ro.board.platform",
    "power mode": "nvpmodel -q",
    "throttled": "vcgencmd get_throttled",
    "emulator": "readlink /proc/$PPID/exe",
}
"""Each is asked only where the device has it; a name with a space is no path."""

# Runs on Python 3.8, and prints what is known there and not in a file: versions are read from the installed packages'
# own records, because importing numpy and onnxruntime takes seconds on a small board.
PYTHON_FACTS = """
import json, os, platform, struct, sys
from importlib import metadata

facts = {"python": platform.python_version(), "python bits": str(8 * struct.calcsize("P"))}
facts["cores"] = str(os.cpu_count())
libc = platform.libc_ver()
if libc[0]:
    facts["libc"] = " ".join(libc)
for package in ("numpy", "onnxruntime", "onnxruntime-gpu", "tensorrt", "pip"):
    try:
        facts[package] = metadata.version(package)
    except metadata.PackageNotFoundError:
        pass
if os.environ.get("EDGEDISTILL_EMULATED") == "1":
    facts["emulated"] = "yes"
"""
SHELL_PYTHON = PYTHON_FACTS + "print(json.dumps(facts))\n"

# Runs on Python 3.8 on a machine where Python is all that can be started.
PROGRAM = (
    PYTHON_FACTS
    + f"""
import glob
files = {{"machine": platform.machine(), "kernel": platform.system() + " " + platform.release()}}
for pattern in {FILES!r}:
    for path in glob.glob(pattern):
        try:
            with open(path, errors="replace") as file:
                files[path] = file.read({LARGEST_FILE_BYTES})
        except OSError:
            pass
print(json.dumps({{"files": files, "python": facts}}))
"""
)


def shell_program(token: str, *, python: str, home: str) -> str:
    """Return a POSIX shell's script that prints every file and every command's answer, each after its name.

    Args:
        token: precedes each name; something that no file contains.
        python: the device's Python.
        home: folder on the device whose disk is asked for room.
    """
    lines = ["PATH=$PATH:/usr/sbin:/sbin:/usr/bin:/bin"]
    for name, command in COMMANDS.items():
        program = command.split()[0]
        lines.append(
            f"command -v {program} >/dev/null 2>&1 && {{ printf '\\n{token} {name}\\n'; {command} 2>/dev/null; }}"
        )
    lines += [
        f"for f in {' '.join(FILES)}; do",
        f'  [ -r "$f" ] && {{ printf \'\\n{token} %s\\n\' "$f"; head -c {LARGEST_FILE_BYTES} "$f" 2>/dev/null; }}',
        "done | tr '\\000' '\\n'",
        f"printf '\\n{token} disk\\n'",
        f'd={shlex.quote(home)}; while [ ! -d "$d" ]; do d=${{d%/*}}; [ -n "$d" ] || d=/; done',
        'df -Pk "$d" 2>/dev/null',
        f"printf '\\n{token} python\\n'",
        f"{shlex.quote(python)} -c {shlex.quote(SHELL_PYTHON)} 2>&1",
        "true",
    ]
    return "\n".join(lines)


def files_from_text(text: str, token: str) -> dict[str, str]:
    """Return what the script printed, by path or name; what was empty is left out."""
    parts = (part.partition("\n") for part in text.split(f"\n{token} ")[1:])
    return {name.strip(): content.strip("\n") for name, _, content in parts if content.strip()}


def facts_from_answer(done: Completed, *, device: str, execution: Execution) -> DeviceFacts:
    """Return what `PROGRAM` printed.

    Raises:
        DeviceError: the device has no Python that runs it.
    """
    from edgedistill.errors import DeviceError  # noqa: PLC0415

    try:
        answer = json.loads(done.stdout)
        files: Mapping[str, str] = {**answer["files"], "python": json.dumps(answer["python"])}
    except (ValueError, KeyError, TypeError) as error:
        raise DeviceError(
            f"device {device}",
            found=f"Python there ended with {done.returncode}: {done.stderr.strip()[-400:]}",
            wanted="Python 3.8 or newer",
        ) from error
    return facts_from_files(files, device=device, execution=execution)
