"""Temperatures, clocks and power while something runs: sysfs (finer in time), tegrastats where that is closed."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

ROOT = Path("/")
OFF_C = -256.0  # what a sensor that is switched off reads
POWER = re.compile(r"\b(V\w+) (\d+)mW/(\d+)mW")
TEMPERATURE = re.compile(r"\b([\w-]+)@(-?[\d.]+)C\b")
GPU_LOAD = re.compile(r"GR3D_FREQ (\d+)%(?:@\[?([\d,]+)\]?)?")
CPU_CLOCK = re.compile(r"\d+%@(\d+)")
HZ = 10.0
THROTTLED_SHARE = 0.95  # of the clock at the start
EDGE = 10  # readings at the start and at the end that are compared


class Reading(NamedTuple):
    """One value of one sensor."""

    quantity: str
    sensor: str
    value: float


def tegrastats_readings(line: str) -> List[Reading]:
    """Return what one line of tegrastats says: temperatures, power rails, clocks of CPU and GPU.

    The first number of a rail is the present one, the second a mean. Rails that are not connected read 0 and are left
    out, as are sensors that are off. Clocks of the GPU appear for root only.
    """
    found = [Reading("power_w", name, int(now) / 1000.0) for name, now, _ in POWER.findall(line) if int(now)]
    for name, text in TEMPERATURE.findall(line):
        if float(text) != OFF_C:
            found.append(Reading("temperature_c", name, float(text)))
    load = GPU_LOAD.search(line)
    if load and load.group(2):
        found.append(Reading("frequency_mhz", "gpu", float(load.group(2).split(",")[0])))
    cpus = re.search(r"CPU \[([^\]]*)\]", line)
    for index, text in enumerate(CPU_CLOCK.findall(cpus.group(1)) if cpus else []):
        found.append(Reading("frequency_mhz", "cpu{}".format(index), float(text)))
    return found


def sysfs_readings(root: Path = ROOT) -> List[Reading]:
    """Return what sysfs says now: thermal zones, INA3221 rails, clocks of GPU and CPU."""
    found = []
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        value, name = _number(zone / "temp"), _word(zone / "type")
        if value is not None and value / 1000.0 > OFF_C:
            found.append(Reading("temperature_c", "{} {}".format(zone.name, name), value / 1000.0))
    for chip in sorted(root.glob("sys/class/hwmon/hwmon*")):
        if _word(chip / "name") == "ina3221":
            found += _rails(chip)
    for folder in sorted(root.glob("sys/class/devfreq/*gpu*")):
        value = _number(folder / "cur_freq")
        if value is not None:
            found.append(Reading("frequency_mhz", "gpu", value / 1e6))
    for folder in sorted(root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq")):
        value = _number(folder / "scaling_cur_freq")
        if value is not None:
            found.append(Reading("frequency_mhz", folder.parent.name, value / 1000.0))
    return found


class Recorder:
    """Reads the sensors in a thread of its own until it is stopped.

    Args:
        root: of the file system.
        tegrastats: command to read lines from where sysfs has no temperature or no rail.
    """

    def __init__(self, root: Path = ROOT, tegrastats: Sequence[str] = ("tegrastats", "--interval", "200")) -> None:
        self.root, self.command = root, tuple(tegrastats)
        self.rows: List[Tuple[int, Reading]] = []
        self.notes: List[str] = []
        self._stop = threading.Event()
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._threads: List[threading.Thread] = []

    def __enter__(self) -> Recorder:  # noqa: PYI034 - Python 3.8 has no Self
        quantities = {reading.quantity for reading in sysfs_readings(self.root)}
        self._threads.append(threading.Thread(target=self._read_sysfs, daemon=True))
        if not {"temperature_c", "power_w"} <= quantities:
            self._start_tegrastats()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        for thread in self._threads:
            thread.join()
        if not self.rows:
            self.notes.append("no temperature, clock or power could be read")

    def traces(self, start_ns: int) -> List[Dict[str, Any]]:
        """Return every sensor over time, 0 at `start_ns` of the monotonic clock."""
        series: Dict[Tuple[str, str], List[Tuple[int, float]]] = {}
        for at_ns, reading in sorted(self.rows, key=lambda row: row[0]):
            series.setdefault((reading.quantity, reading.sensor), []).append((at_ns - start_ns, reading.value))
        return [
            {
                "quantity": quantity,
                "sensor": sensor,
                "at_ns": [at_ns for at_ns, _ in points],
                "values": [value for _, value in points],
            }
            for (quantity, sensor), points in sorted(series.items())
        ]

    def _read_sysfs(self) -> None:
        while not self._stop.is_set():
            now = time.monotonic_ns()
            self.rows += [(now, reading) for reading in sysfs_readings(self.root)]
            self._stop.wait(1.0 / HZ)

    def _start_tegrastats(self) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a program of L4T, no shell
                self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            self.notes.append("tegrastats was not read: {}".format(error))
            return
        self._threads.append(threading.Thread(target=self._read_tegrastats, daemon=True))

    def _read_tegrastats(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        for line in process.stdout:
            now = time.monotonic_ns()
            self.rows += [(now, reading) for reading in tegrastats_readings(line.decode("utf-8", "replace"))]


def throttling(traces: Sequence[Dict[str, Any]]) -> List[str]:
    """Return which clocks fell by more than 5 % between the start and the end of a recording."""
    found = []
    for trace in traces:
        values = trace["values"]
        if trace["quantity"] != "frequency_mhz" or len(values) < 2 * EDGE:
            continue
        first, last = _median(values[:EDGE]), _median(values[-EDGE:])
        if last < THROTTLED_SHARE * first:
            found.append("throttled: {} fell from {:.0f} to {:.0f} MHz".format(trace["sensor"], first, last))
    return found


def _rails(chip: Path) -> List[Reading]:
    """Return the rails of one INA3221: millivolts times milliamperes; one without a label is not connected."""
    found = []
    for label in sorted(chip.glob("in[0-9]_label")):
        name = _word(label)
        number = label.name[2 : -len("_label")]
        voltage, current = _number(chip / "in{}_input".format(number)), _number(chip / "curr{}_input".format(number))
        if name and name != "NC" and voltage is not None and current is not None:
            found.append(Reading("power_w", "ina3221 {}".format(name), voltage * current / 1e6))
    return found


def _median(values: Sequence[float]) -> float:
    return float(sorted(values)[len(values) // 2])


def _number(path: Path) -> Optional[int]:
    text = _word(path)
    return int(text) if text.lstrip("-").isdigit() else None


def _word(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
