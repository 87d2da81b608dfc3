"""What devices' files say. The texts are written after the kernel's and the vendors' documentation, not recorded."""

from __future__ import annotations

import json

import pytest

from edgedistill.devices.cpu_names import core_name
from edgedistill.devices.probe import files_from_text
from edgedistill.devices.probe_reading import facts_from_files
from edgedistill.evaluate.executor import Execution

CPU = "/sys/devices/system/cpu"
PI_CORES = "".join(
    f"processor\t: {number}\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd asimddp\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 1\n\n"
    for number in range(4)
)
PI = {
    "machine": "aarch64\n",
    "kernel": "Linux 6.12.25+rpt-rpi-2712",
    "/proc/cpuinfo": PI_CORES + "Revision\t: d04170\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n",
    "/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\n",
    "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\n',
    "/proc/meminfo": "MemTotal:        8245632 kB\nMemAvailable:    7000000 kB\nSwapTotal:             0 kB\n",
    f"{CPU}/online": "0-3",
    f"{CPU}/possible": "0-3",
    **{f"{CPU}/cpu{number}/cpufreq/scaling_governor": "ondemand" for number in range(4)},
    **{f"{CPU}/cpu{number}/cpufreq/cpuinfo_max_freq": "2400000" for number in range(4)},
    **{f"{CPU}/cpu{number}/cpufreq/scaling_max_freq": "1500000" for number in range(4)},
    "/sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "/sys/class/thermal/thermal_zone0/temp": "51450",
    "/sys/class/hwmon/hwmon0/name": "rp1_adc",
    "/sys/class/hwmon/hwmon0/temp1_input": "49000",
    "throttled": "throttled=0x50005",
    "wall clock": "1764000000",
    "disk": "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/root 30000000 9000000 20480000 31% /",
    "python": json.dumps({"python": "3.11.2", "python bits": "64", "onnxruntime": "1.22.0", "cores": "4"}),
}


def facts(files: dict[str, str], *, now: float = 1764000000.0) -> dict[str, str]:
    return dict(facts_from_files(files, device="d", now=now).facts)


def test_a_raspberry_pi() -> None:
    found = facts_from_files(PI, device="ssh://pi@kitchen", now=1764000000.0)
    assert (found.name, found.machine, found.execution) == ("ssh://pi@kitchen", "aarch64", Execution.DEVICE)
    assert found.facts == {
        "model": "Raspberry Pi 5 Model B Rev 1.0",
        "os": "Debian GNU/Linux 12 (bookworm)",
        "kernel": "Linux 6.12.25+rpt-rpi-2712",
        "cores": "4",
        "cpu implementer": "0x41",
        "cpu part": "0xd0b",
        "features": "fp asimd asimddp",
        "clusters": "4 x Cortex-A76 up to 2.40 GHz",
        "governor": "ondemand",
        "frequency limit": "1.50 of 2.40 GHz (cpu0)",
        "memory": "8245632 kB",
        "memory free": "7000000 kB",
        "disk free": "20000 MB of 29297 MB",
        "throttled": "now: under-voltage, throttled; since boot: under-voltage, throttled",
        "temperature sensors": "cpu-thermal 51.5 °C, rp1_adc 49.0 °C",
        "python": "3.11.2",
        "python bits": "64",
        "onnxruntime": "1.22.0",
    }


def test_a_phone_with_three_clusters() -> None:
    parts = ["0xd05"] * 4 + ["0xd0b"] * 3 + ["0xd44"]
    speeds = [1803000] * 4 + [2253000] * 3 + [2850000]
    files = {
        "machine": "aarch64",
        "android": "14",
        "android maker": "Google",
        "android model": "Pixel 6",
        "android soc": "Tensor",
        "/proc/cpuinfo": "".join(
            f"processor\t: {number}\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n"
            for number, part in enumerate(parts)
        ),
        **{f"{CPU}/cpu{number}/cpufreq/cpuinfo_max_freq": str(speed) for number, speed in enumerate(speeds)},
        "/sys/class/power_supply/battery/type": "Battery",
        "/sys/class/power_supply/battery/status": "Discharging",
    }
    assert facts(files) == {
        "model": "Google Pixel 6",
        "soc": "Tensor",
        "os": "Android 14",
        "cpu implementer": "0x41",
        "cpu part": "0xd05",
        "clusters": "4 x Cortex-A55 up to 1.80 GHz, 3 x Cortex-A76 up to 2.25 GHz, 1 x Cortex-X1 up to 2.85 GHz",
        "power supply battery": "Battery, Discharging",
    }


def test_a_jetson() -> None:
    files = {
        "machine": "aarch64",
        "/proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit",
        "/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n",
        "power mode": "NV Power Mode: 15W\n0\n",
        f"{CPU}/online": "0-3",
        f"{CPU}/possible": "0-5",
        "python": json.dumps({"python": "3.10.12", "tensorrt": "10.3.0"}),
    }
    assert facts(files) == {
        "model": "NVIDIA Jetson Orin Nano Developer Kit",
        "l4t": "36.4.3",
        "power mode": "15W",
        "cores": "4",
        "cores offline": "2",
        "python": "3.10.12",
        "tensorrt": "10.3.0",
    }


def test_what_a_device_does_not_say_is_not_there() -> None:
    assert facts({"machine": "aarch64"}) == {}
    assert facts_from_files({}, device="d").machine == "unknown"


@pytest.mark.parametrize(
    ("seen", "shown"), [(1764000000 - 7200, "7200 s behind"), (1764000000 + 100, "100 s ahead of"), (1764000030, None)]
)
def test_a_clock_that_is_off_is_said(seen: int, shown: str | None) -> None:
    found = facts({"wall clock": str(seen)}).get("clock")
    assert found == (f"{shown} this machine's" if shown else None)


@pytest.mark.parametrize(
    "files",
    [
        {"/etc/edgedistill-emulated": "The time ..."},
        {"python": json.dumps({"emulated": "yes"})},
        {"emulator": "/usr/libexec/qemu-binfmt/qemu-aarch64-binfmt-P"},
        {"emulator": "/usr/bin/qemu-aarch64-static"},
    ],
)
def test_every_sign_of_an_emulator_makes_it_emulated(files: dict[str, str]) -> None:
    assert facts_from_files(files, device="d").execution is Execution.EMULATED


def test_a_program_s_parent_that_is_a_shell_is_no_emulator() -> None:
    assert facts_from_files({"emulator": "/usr/sbin/sshd"}, device="d").execution is Execution.DEVICE


def test_python_that_does_not_run_is_a_fact() -> None:
    assert facts({"python": "sh: python3: not found"}) == {"python problem": "sh: python3: not found"}


def test_a_core_without_a_name_keeps_its_numbers() -> None:
    assert core_name("0x41", "0xd0b") == "Cortex-A76"
    assert core_name("0x7f", "0x001") == "implementer 0x7f, part 0x001"


def test_files_are_told_apart_by_the_token_alone() -> None:
    assert files_from_text("\nT0K /a\none\ntwo\n\nT0K /empty\n\n\nT0K machine\naarch64\n", "T0K") == {
        "/a": "one\ntwo",
        "machine": "aarch64",
    }
