"""Sensors in made-up /sys and /proc trees as real machines have them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from edgedistill.bench.recording import DeviceState
from edgedistill.bench.sensors import device_state, sensors_of

if TYPE_CHECKING:
    from pathlib import Path


def lay(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


PI = {
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48312\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "2400000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq": "1500000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "2400000\n",
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/cpuinfo": "processor\t: 0\nCPU part\t: 0xd0b\n\nprocessor\t: 1\nCPU part\t: 0xd0b\n",
    "proc/meminfo": "MemTotal:        8245244 kB\nMemFree: 1 kB\n",
    "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
}
JETSON = {
    "sys/class/hwmon/hwmon3/name": "ina3221\n",
    "sys/class/hwmon/hwmon3/in1_label": "VDD_IN\n",
    "sys/class/hwmon/hwmon3/in1_input": "5000\n",
    "sys/class/hwmon/hwmon3/curr1_input": "1740\n",
    "sys/class/devfreq/17000000.gpu/cur_freq": "918000000\n",
    "etc/nv_tegra_release": "# R36",
    "var/lib/nvpmodel/status": "pmode:0002\n",
}
LAPTOP = {
    "sys/class/power_supply/BAT0/type": "Battery\n",
    "sys/class/power_supply/BAT0/status": "Discharging\n",
    "sys/class/power_supply/BAT0/power_now": "9120000\n",
    "sys/class/hwmon/hwmon0/name": "amdgpu\n",
    "sys/class/hwmon/hwmon0/power1_input": "4200000\n",
    "sys/class/thermal/thermal_zone9/temp": "unreadable\n",
}


def readings(root: Path) -> dict[str, tuple[str, float]]:
    return {sensor.name: (sensor.quantity, sensor.read()) for sensor in sensors_of(root)}


def test_a_raspberry_pi(tmp_path: Path) -> None:
    assert readings(lay(tmp_path, **PI)) == {
        "thermal_zone0 cpu-thermal": ("temperature_c", pytest.approx(48.312)),
        "policy0": ("frequency_mhz", pytest.approx(2400.0)),
    }


def test_a_jetson_multiplies_voltage_and_current(tmp_path: Path) -> None:
    assert readings(lay(tmp_path, **JETSON)) == {
        "devfreq 17000000.gpu": ("frequency_mhz", pytest.approx(918.0)),
        "ina3221 VDD_IN": ("power_w", pytest.approx(8.7)),
    }


def test_a_laptop_on_battery(tmp_path: Path) -> None:
    root = lay(tmp_path, **LAPTOP)
    assert readings(root) == {
        "amdgpu power1_input": ("power_w", pytest.approx(4.2)),
        "battery BAT0": ("power_w", pytest.approx(9.12)),
    }
    (root / "sys/class/power_supply/BAT0/status").write_text("Charging\n")
    assert "battery BAT0" not in readings(root)


def test_a_counter_of_energy_gives_mean_power_from_the_second_reading_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "sys/class/powercap/intel-rapl:0/"
    root = lay(tmp_path, **{place + "energy_uj": "1000000", place + "name": "package-0\n"})
    (counter,) = sensors_of(root)
    for now, energy, wanted in ((10, 1_000_000, None), (12, 7_000_000, 3.0), (13, 500, None), (14, 2_000_500, 2.0)):
        monkeypatch.setattr(time, "monotonic_ns", lambda now=now: now * 10**9)
        (root / place / "energy_uj").write_text(str(energy))
        assert counter.read() == wanted
    assert (counter.quantity, counter.name) == ("power_w", "rapl package-0")


def test_a_sensor_that_goes_away_gives_nothing(tmp_path: Path) -> None:
    root = lay(tmp_path, **PI)
    sensors = sensors_of(root)
    (root / "sys/class/thermal/thermal_zone0/temp").unlink()
    assert [sensor.read() for sensor in sensors] == [None, pytest.approx(2400.0)]


def test_the_state_of_a_board_is_what_its_files_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    found = device_state("ssh://pi@desk", emulated=False, root=lay(tmp_path, **PI))
    DeviceState.model_validate(found)
    assert (found["kind"], found["execution"], found["name"]) == ("arm-linux", "device", "ssh://pi@desk")
    assert (found["model"], found["soc"]) == ("Raspberry Pi 5 Model B Rev 1.0", "ARM CPU part 0xd0b")
    assert (found["governor"], found["clocks_locked"]) == ("ondemand", False)
    assert found["memory_bytes"] == 8245244 * 1024
    assert found["os"].startswith("Debian GNU/Linux 12 (bookworm), Linux")
    assert "on_battery" not in found


@pytest.mark.parametrize(
    ("files", "machine", "kind", "execution"),
    [
        (JETSON, "aarch64", "jetson", "device"),
        ({"system/build.prop": ""}, "aarch64", "android", "device"),
        (LAPTOP, "x86_64", "host", "host"),
    ],
)
def test_kinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], machine: str, kind: str, execution: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    found = device_state("x", emulated=False, root=lay(tmp_path, **files))
    assert (found["kind"], found["execution"]) == (kind, execution)


def test_an_empty_machine_says_nothing_and_an_emulated_one_what_it_is(tmp_path: Path) -> None:
    found = device_state("x", emulated=True, root=tmp_path)
    assert found["execution"] == "emulated"
    assert {"model", "soc", "governor", "memory_bytes", "power_mode", "clocks_locked"}.isdisjoint(found)
    assert sensors_of(tmp_path) == []
