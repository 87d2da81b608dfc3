"""Reads what a device's files say: the model, its cores, its memory, its sensors."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from edgedistill.devices.base import DeviceFacts
from edgedistill.devices.cpu_names import core_name
from edgedistill.evaluate.executor import Execution

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CPU = "/sys/devices/system/cpu"
CPUINFO_KEYS = {
    "cpu": ("model name",),
    "cpu implementer": ("CPU implementer",),
    "cpu part": ("CPU part",),
    "features": ("Features", "flags"),
}
CLOCK_OFF_S = 60.0
# bits of `vcgencmd get_throttled`: Raspberry Pi documentation, "vcgencmd"
THROTTLED_NOW = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
THROTTLED_BEFORE = {16: "under-voltage", 17: "frequency capped", 18: "throttled", 19: "soft temperature limit"}


def facts_from_files(
    files: Mapping[str, str], *, device: str, execution: Execution | None = None, now: float | None = None
) -> DeviceFacts:
    """Return the facts of a device; what its files do not say is not among them.

    Args:
        files: contents by path, and answers of commands by name, as `probe.files_from_text` gives them.
        device: how the user addresses it.
        execution: what stands behind its results; none means a device, unless it says that it is emulated.
        now: seconds since 1970, to compare the device's clock with; none means this machine's clock.
    """
    python = python_facts(files)
    found = execution or (Execution.EMULATED if is_emulated(files, python) else Execution.DEVICE)
    facts = dict(_facts(files, python, time.time() if now is None else now))
    return DeviceFacts(name=device, machine=files.get("machine", "unknown").strip(), execution=found, facts=facts)


def python_facts(files: Mapping[str, str]) -> dict[str, str]:
    """Return what the device's Python says, empty where there is none that runs."""
    try:
        answer = json.loads(files.get("python", ""))
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in answer.items()} if isinstance(answer, dict) else {}


def is_emulated(files: Mapping[str, str], python: Mapping[str, str]) -> bool:
    """Tell whether a device says, or lets see, that its CPU is emulated."""
    emulator = PurePosixPath(files.get("emulator", "").strip()).name
    return "/etc/edgedistill-emulated" in files or "emulated" in python or emulator.startswith("qemu-")


def _facts(files: Mapping[str, str], python: Mapping[str, str], now: float) -> Iterator[tuple[str, str]]:
    """Yield the facts in the order in which they are shown."""
    readers = (_model, _system, _cores, _frequencies, _memory, _power, _sensors, _clock)
    for reader in readers:
        yield from reader(files)
    if "wall clock" in files and files["wall clock"].strip().isdigit():
        offset = int(files["wall clock"]) - now
        if abs(offset) > CLOCK_OFF_S:
            yield "clock", f"{abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} this machine's"
    yield from ((name, value) for name, value in python.items() if name not in ("cores", "emulated"))
    if "cores" in python and not files.get(f"{CPU}/online"):
        yield "cores", python["cores"]
    if not python and files.get("python"):
        yield "python problem", " ".join(files["python"].split())[-200:]


def _model(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    android = " ".join(files[name].strip() for name in ("android maker", "android model") if name in files)
    model = files.get("/proc/device-tree/model", "").strip() or android or _of_cpuinfo(files, "Model")
    if model:
        yield "model", model
    soc = files.get("android soc", "").strip() or files.get("android board", "").strip()
    soc = soc or _of_cpuinfo(files, "Hardware")
    if soc:
        yield "soc", soc


def _system(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    release = re.search(r'^PRETTY_NAME="?([^"\n]*)', files.get("/etc/os-release", ""), re.MULTILINE)
    if "android" in files:
        yield "os", f"Android {files['android'].strip()}"
    elif release:
        yield "os", release.group(1)
    if "kernel" in files:
        yield "kernel", files["kernel"].strip()
    tegra = re.search(r"# R(\d+) \(release\), REVISION: ([\d.]+)", files.get("/etc/nv_tegra_release", ""))
    if tegra:
        yield "l4t", f"{tegra.group(1)}.{tegra.group(2)}"
    if "bits" in files:
        yield "bits", files["bits"].strip()


def _cores(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    cores = _cores_of_cpuinfo(files.get("/proc/cpuinfo", ""))
    online = files.get(f"{CPU}/online", "").strip()
    if online:
        yield "cores", str(len(list(_numbers(online))))
        possible = files.get(f"{CPU}/possible", "").strip()
        if possible and possible != online:
            yield "cores offline", str(len(list(_numbers(possible))) - len(list(_numbers(online))))
    isolated = files.get(f"{CPU}/isolated", "").strip()
    if isolated:
        yield "cores isolated", isolated
    if not cores:
        return
    first = next(iter(cores.values()))
    for name, keys in CPUINFO_KEYS.items():
        value = next((first[key] for key in keys if key in first), "")
        if value:
            yield name, value
    clusters = Counter(_core_title(files, number, core) for number, core in cores.items())
    known = [f"{count} x {title}" for title, count in clusters.items() if title]
    if known:
        yield "clusters", ", ".join(known)


def _cores_of_cpuinfo(text: str) -> dict[int, dict[str, str]]:
    """Return the lines of each processor; on ARM, what stands after the last one belongs to the board."""
    cores: dict[int, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "processor" and value.isdigit():
            current = cores.setdefault(int(value), {})
        elif not key:
            current = {}
        else:
            current.setdefault(key, value)
    return cores


def _core_title(files: Mapping[str, str], number: int, core: Mapping[str, str]) -> str:
    implementer, part = core.get("CPU implementer"), core.get("CPU part")
    if not implementer or not part:
        return ""
    highest = files.get(f"{CPU}/cpu{number}/cpufreq/cpuinfo_max_freq", "").strip()
    speed = f" up to {int(highest) / 1e6:.2f} GHz" if highest.isdigit() else ""
    return core_name(implementer, part) + speed


def _of_cpuinfo(files: Mapping[str, str], key: str) -> str:
    match = re.search(rf"^{key}\s*:\s*(.+)$", files.get("/proc/cpuinfo", ""), re.MULTILINE)
    return match.group(1).strip() if match else ""


def _frequencies(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    governors = _values(files, rf"{CPU}/cpu\d+/cpufreq/scaling_governor")
    if governors:
        yield "governor", ", ".join(dict.fromkeys(governors.values()))
    for path, allowed in _values(files, rf"{CPU}/cpu\d+/cpufreq/scaling_max_freq").items():
        highest = files.get(path.replace("scaling_max_freq", "cpuinfo_max_freq"), "").strip()
        if highest and highest != allowed:
            yield "frequency limit", f"{int(allowed) / 1e6:.2f} of {int(highest) / 1e6:.2f} GHz ({path.split('/')[5]})"
            return


def _memory(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    text = files.get("/proc/meminfo", "")
    for name, key in (("memory", "MemTotal"), ("memory free", "MemAvailable"), ("swap", "SwapTotal")):
        match = re.search(rf"^{key}:\s*(\d+) kB", text, re.MULTILINE)
        if match and int(match.group(1)):
            yield name, f"{match.group(1)} kB"
    words = files.get("disk", "").splitlines()[-1:] or [""]
    numbers = re.search(r"\s(\d+)\s+(\d+)\s+(\d+)\s+\d+%", words[0])
    if numbers:
        yield "disk free", f"{int(numbers.group(3)) / 1024:.0f} MB of {int(numbers.group(1)) / 1024:.0f} MB"


def _power(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    mode = re.search(r"NV Power Mode:\s*(\S+)", files.get("power mode", ""))
    if mode:
        yield "power mode", mode.group(1)
    throttled = re.search(r"throttled=0x([0-9a-fA-F]+)", files.get("throttled", ""))
    if throttled:
        yield "throttled", _throttled(int(throttled.group(1), 16))
    for path, kind in _values(files, r"/sys/class/power_supply/[^/]+/type").items():
        supply = path.rsplit("/", 1)[0]
        state = files.get(f"{supply}/status", "").strip()
        online = {"1": "connected", "0": "not connected"}.get(files.get(f"{supply}/online", "").strip(), "")
        if state or online:
            yield f"power supply {supply.split('/')[-1]}", f"{kind}, {state or online}"


def _throttled(bits: int) -> str:
    now = [name for bit, name in THROTTLED_NOW.items() if bits >> bit & 1]
    before = [name for bit, name in THROTTLED_BEFORE.items() if bits >> bit & 1]
    parts = ([f"now: {', '.join(now)}"] if now else []) + ([f"since boot: {', '.join(before)}"] if before else [])
    return "; ".join(parts) or "no"


def _sensors(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    zones = _values(files, r"/sys/class/thermal/thermal_zone\d+/temp")
    shown = []
    for path, value in zones.items():
        kind = files.get(path.replace("/temp", "/type"), "").strip() or path.split("/")[4]
        if re.fullmatch(r"-?\d+", value):
            shown.append(f"{kind} {int(value) / 1000:.1f} °C")
    for path, value in _values(files, r"/sys/class/hwmon/hwmon\d+/temp\d+_input").items():
        kind = files.get(f"{path.rsplit('/', 1)[0]}/name", "").strip()
        if re.fullmatch(r"-?\d+", value) and not any(entry.startswith(f"{kind} ") for entry in shown):
            shown.append(f"{kind} {int(value) / 1000:.1f} °C")
    if shown:
        yield "temperature sensors", ", ".join(shown)


def _clock(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if "/proc/sys/kernel/random/boot_id" in files:
        yield "boot", files["/proc/sys/kernel/random/boot_id"].strip()


def _values(files: Mapping[str, str], pattern: str) -> dict[str, str]:
    return {path: text.strip() for path, text in sorted(files.items()) if re.fullmatch(pattern, path)}


def _numbers(ranges: str) -> Iterator[int]:
    """Yield the numbers of "0-3,5"."""
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last.isdigit() or not last):
            yield from range(int(first), int(last or first) + 1)
