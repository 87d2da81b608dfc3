"""Sensors and state of a Linux machine, read from its /sys and /proc. Needs Python 3.8 and nothing else.

It stands in this package, and loose in an artifact beside its runner. Nothing is assumed: what a machine does not show
is not there. Reading one file takes microseconds; no program is started.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/")
MOST_OF_A_KIND = 32
MICRO, MILLI, KILO, MEGA = 1e-6, 1e-3, 1e3, 1e6
KB = 1024


class FileSensor:
    """A number in a file.

    Args:
        quantity: `temperature_c`, `frequency_mhz` or `power_w`.
        name: the sensor's own.
        paths: one file; or two whose values are multiplied (millivolts and milliamperes).
        unit: what one of the file's steps is in the quantity's unit.
    """

    def __init__(self, quantity: str, name: str, paths: tuple[Path, ...], unit: float) -> None:
        self.quantity, self.name = quantity, name
        self._paths, self._unit = paths, unit

    def read(self) -> float | None:
        """Return the value, or None while it cannot be read."""
        value = self._unit
        for path in self._paths:
            found = number_in(path)
            if found is None:
                return None
            value *= found
        return value


class EnergyCounter:
    """Mean power between two readings of a counter of microjoules (Intel's RAPL); the first reading gives none.

    Args:
        name: the sensor's own.
        path: of the counter.
    """

    quantity = "power_w"

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._last: tuple[float, int] | None = None

    def read(self) -> float | None:
        """Return the mean power since the last reading; None at the first, and when the counter began anew."""
        energy, now = number_in(self._path), time.monotonic_ns()
        last, self._last = self._last, None if energy is None else (energy, now)
        if energy is None or last is None or energy < last[0] or now <= last[1]:
            return None
        return (energy - last[0]) * MICRO / ((now - last[1]) * 1e-9)


def sensors_of(root: Path = ROOT) -> list[Any]:
    """Return every sensor that gives a number now."""
    found: list[Any] = []
    for kind in (_temperatures, _frequencies, _powers):
        found += [sensor for sensor in kind(root) if sensor.read() is not None][:MOST_OF_A_KIND]
    paths = [path for path in sorted(root.glob("sys/class/powercap/intel-rapl:?/energy_uj")) if number_in(path)]
    return found + [EnergyCounter(f"rapl {_text(path.parent / 'name')}", path) for path in paths]


def _temperatures(root: Path) -> Iterator[FileSensor]:
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        yield FileSensor("temperature_c", f"{zone.name} {_text(zone / 'type')}".strip(), (zone / "temp",), MILLI)


def _frequencies(root: Path) -> Iterator[FileSensor]:
    """Yield one sensor for each group of CPUs with one clock, and the graphics processor's where it has a file."""
    for policy in sorted(root.glob("sys/devices/system/cpu/cpufreq/policy*")):
        yield FileSensor("frequency_mhz", policy.name, (policy / "scaling_cur_freq",), 1 / KILO)
    for device in sorted(root.glob("sys/class/devfreq/*")):
        if "gpu" in device.name or "gv11b" in device.name:
            yield FileSensor("frequency_mhz", f"devfreq {device.name}", (device / "cur_freq",), 1 / MEGA)


def _powers(root: Path) -> Iterator[FileSensor]:
    for chip in sorted(root.glob("sys/class/hwmon/hwmon*")):
        name = _text(chip / "name")
        for path in sorted(chip.glob("power*_input")):
            label = _text(chip / path.name.replace("_input", "_label")) or path.name
            yield FileSensor("power_w", f"{name} {label}", (path,), MICRO)
        for current in sorted(chip.glob("curr*_input")):  # INA3221: no power of its own
            number = current.name[len("curr") : -len("_input")]
            voltage = chip / f"in{number}_input"
            label = _text(chip / f"in{number}_label") or f"channel {number}"
            if voltage.is_file():
                yield FileSensor("power_w", f"{name} {label}", (voltage, current), MILLI * MILLI)
    for supply in sorted(root.glob("sys/class/power_supply/*")):
        if _text(supply / "type") == "Battery" and _text(supply / "status") == "Discharging":
            yield FileSensor("power_w", f"battery {supply.name}", (supply / "power_now",), MICRO)


def device_state(name: str, *, emulated: bool, root: Path = ROOT) -> dict[str, Any]:
    """Return the recording's `device`, as far as it can be read; an ARM machine is a device, another a host."""
    machine = platform.machine()
    is_arm = machine.startswith(("aarch64", "arm"))
    execution = "emulated" if emulated else "device" if is_arm else "host"
    cpu = root / "sys/devices/system/cpu/cpu0/cpufreq"
    limits = [number_in(cpu / f"scaling_{end}_freq") for end in ("min", "max")]
    state = {
        "kind": _kind(root, is_arm=is_arm),
        "execution": execution,
        "name": name,
        "model": _text(root / "proc/device-tree/model") or None,
        "soc": _cpu_name(root),
        "machine": machine,
        "os": _os_name(root),
        "cores": os.cpu_count(),
        "memory_bytes": _memory_bytes(root),
        "governor": _text(cpu / "scaling_governor") or None,
        "power_mode": _text(root / "var/lib/nvpmodel/status") or None,
        "clocks_locked": None if None in limits else limits[0] == limits[1],
        "on_battery": _on_battery(root),
    }
    return {key: value for key, value in state.items() if value is not None}


def _kind(root: Path, *, is_arm: bool) -> str:
    if (root / "system/build.prop").exists() or "ANDROID_ROOT" in os.environ:
        return "android"
    if (root / "etc/nv_tegra_release").exists():
        return "jetson"
    return "arm-linux" if is_arm else "host"


def _cpu_name(root: Path) -> str | None:
    lines = _text(root / "proc/cpuinfo").splitlines()
    fields = [line.partition(":") for line in lines]
    for wanted in ("model name", "Hardware", "CPU part"):
        found = sorted({value.strip() for key, _, value in fields if key.strip() == wanted})
        if found:
            return ", ".join(found) if wanted != "CPU part" else f"ARM CPU part {', '.join(found)}"
    return None


def _os_name(root: Path) -> str:
    lines = _text(root / "etc/os-release").splitlines()
    names = [line.partition("=")[2].strip('"') for line in lines if line.startswith("PRETTY_NAME=")]
    return f"{names[0]}, {platform.system()} {platform.release()}" if names else platform.platform()


def _memory_bytes(root: Path) -> int | None:
    lines = _text(root / "proc/meminfo").splitlines()
    values = [line.split()[1] for line in lines if line.startswith("MemTotal:")]
    return int(values[0]) * KB if values else None


def _on_battery(root: Path) -> bool | None:
    batteries = [path for path in root.glob("sys/class/power_supply/*") if _text(path / "type") == "Battery"]
    return any(_text(path / "status") == "Discharging" for path in batteries) if batteries else None


def number_in(path: Path) -> float | None:
    """Return the number that is all of a file; None where there is none to read."""
    try:
        return float(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _text(path: Path) -> str:
    """Return a file's text; nothing where it cannot be read. A device tree ends its texts with a zero byte."""
    try:
        return path.read_text("utf-8", errors="replace").replace("\0", "").strip()
    except OSError:
        return ""
