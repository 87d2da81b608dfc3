"""What this Jetson module is and in which state: L4T, power mode, clocks, memory.

Read, never guessed, and never changed unless the user says so.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from edgedistill.targets.jetson_tensorrt.device.answer import InputError

Command = Callable[[Sequence[str]], Tuple[int, str]]
ROOT = Path("/")
RELEASE = re.compile(r"R(\d+) \(release\), REVISION: ([\d.]+)")
MODE = re.compile(r"NV Power Mode:\s*(\S+)")
TIMEOUT_S = 30.0
NOT_THERE = 127
FIXED_KHZ = 1000  # clocks closer than this are one clock


def called(command: Sequence[str]) -> Tuple[int, str]:
    """Return exit code and output of a program; 127 where there is none, or none that may be started."""
    try:
        done = subprocess.run(  # noqa: S603 - programs of L4T, no shell
            list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return NOT_THERE, str(error)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def l4t_version(root: Path = ROOT) -> Optional[str]:
    """Return "36.4.3" of "# R36 (release), REVISION: 4.3, ..."; none where this is no L4T."""
    found = RELEASE.search(_text(root / "etc/nv_tegra_release") or "")
    return "{}.{}".format(*found.groups()) if found else None


def power_mode(call: Command = called) -> Tuple[Optional[str], str]:
    """Return the power mode as "15W (id 0)", and why it could not be read."""
    code, said = call(["nvpmodel", "-q"])
    found = MODE.search(said)
    if code or not found:
        return None, "power mode unknown: nvpmodel -q says: {}".format(said.strip()[-200:] or "nothing")
    numbers = [line.strip() for line in said.splitlines() if line.strip().isdigit()]
    return "{} (id {})".format(found.group(1), numbers[0] if numbers else "unknown"), ""


def clocks_locked(root: Path = ROOT) -> Optional[bool]:
    """Tell whether CPU and GPU clocks are fixed: lowest and highest allowed clock equal; none where unknown."""
    pairs = list(_clock_limits(root))
    if not pairs:
        return None
    return all(abs(high - low) < FIXED_KHZ for low, high in pairs)


def facts(root: Path = ROOT, call: Command = called) -> Dict[str, Any]:
    """Return the state of the module as a recording's `device` has it."""
    mode, _ = power_mode(call)
    model = (_text(root / "proc/device-tree/model") or "").strip("\x00 \n") or None
    release = l4t_version(root)
    return {
        "kind": "jetson" if release else "host",
        "execution": "device" if release else "host",
        "name": "local",
        "model": model,
        "soc": None,
        "machine": platform.machine(),
        "os": "L4T {}".format(release) if release else platform.system(),
        "cores": os.cpu_count(),
        "memory_bytes": _memory_bytes(root),
        "governor": (_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "").strip() or None,
        "power_mode": mode,
        "clocks_locked": clocks_locked(root),
        "on_battery": None,
        "ambient_c": None,
    }


def warnings(root: Path = ROOT, call: Command = called) -> List[str]:
    """Return what makes a latency of this module doubtful."""
    found = []
    if l4t_version(root) is None:
        found.append("this is no L4T: /etc/nv_tegra_release is missing; nothing measured here is a Jetson's")
    mode, problem = power_mode(call)
    if mode is None:
        found.append(problem)
    locked = clocks_locked(root)
    if locked is None:
        found.append("whether clocks are fixed could not be read")
    elif not locked:
        found.append(
            "clocks are not fixed: latency follows the governor; `sudo jetson_clocks`, or --fix-clocks as root"
        )
    return found


def change_power_mode(mode: int, call: Command = called) -> None:
    """Switch the power mode.

    Raises:
        InputError: nvpmodel refuses, usually for want of root.
    """
    code, said = call(["nvpmodel", "-m", str(mode)])
    if code:
        raise InputError("nvpmodel -m {} ended with {}: {}; it needs root".format(mode, code, said.strip()[-200:]))


def fix_clocks(call: Command = called) -> None:
    """Pin the clocks at the power mode's highest.

    Raises:
        InputError: jetson_clocks refuses, usually for want of root.
    """
    code, said = call(["jetson_clocks"])
    if code:
        raise InputError("jetson_clocks ended with {}: {}; it needs root".format(code, said.strip()[-200:]))


def has_program(name: str) -> bool:
    """Tell whether a program of L4T is there."""
    return shutil.which(name) is not None


def _clock_limits(root: Path) -> List[Tuple[int, int]]:
    """Return (lowest, highest) allowed clock of each CPU and of the GPU, kHz."""
    found = [
        (_number(folder / "scaling_min_freq"), _number(folder / "scaling_max_freq"))
        for folder in sorted(root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq"))
    ]
    for folder in sorted(root.glob("sys/class/devfreq/*gpu*")) + sorted(root.glob("sys/class/devfreq/*gv11b*")):
        low, high = _number(folder / "min_freq"), _number(folder / "max_freq")
        found.append((None if low is None else low // 1000, None if high is None else high // 1000))
    return [(low, high) for low, high in found if low is not None and high is not None]


def _memory_bytes(root: Path) -> Optional[int]:
    found = re.search(r"MemTotal:\s+(\d+) kB", _text(root / "proc/meminfo") or "")
    return int(found.group(1)) * 1024 if found else None


def _number(path: Path) -> Optional[int]:
    text = (_text(path) or "").strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> Optional[str]:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return None
