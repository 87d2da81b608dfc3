"""What is read of a Jetson module, from copies of its files."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from edgedistill.targets.jetson_tensorrt.device import module
from edgedistill.targets.jetson_tensorrt.device.answer import InputError

CPU = "sys/devices/system/cpu/cpu0/cpufreq"


def jetson(folder: Path, *, lowest: int) -> Path:
    files = {
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64",
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\x00",
        "proc/meminfo": "MemTotal:        7801968 kB",
        f"{CPU}/scaling_governor": "schedutil",
        f"{CPU}/scaling_min_freq": str(lowest),
        f"{CPU}/scaling_max_freq": "1510400",
        "sys/class/devfreq/17000000.gpu/min_freq": "1020000000",
        "sys/class/devfreq/17000000.gpu/max_freq": "1020000000",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def answers(code: int, said: str) -> module.Command:
    def call(command: Sequence[str]) -> tuple[int, str]:
        assert command
        return code, said

    return call


def test_facts_of_a_module(tmp_path: Path) -> None:
    found = module.facts(jetson(tmp_path, lowest=729600), answers(0, "NV Power Mode: MAXN_SUPER\n2\n"))
    assert found["kind"] == "jetson"
    assert found["os"] == "L4T 36.4.3"
    assert found["model"].startswith("NVIDIA Jetson Orin Nano")
    assert found["memory_bytes"] == 7801968 * 1024
    assert found["power_mode"] == "MAXN_SUPER (id 2)"
    assert found["clocks_locked"] is False


@pytest.mark.parametrize(("lowest", "locked"), [(729600, False), (1510400, True)])
def test_clocks_are_fixed_where_lowest_and_highest_are_equal(tmp_path: Path, lowest: int, *, locked: bool) -> None:
    root = jetson(tmp_path, lowest=lowest)
    assert module.clocks_locked(root) is locked
    doubts = module.warnings(root, answers(0, "NV Power Mode: 15W\n0\n"))
    assert [doubt.partition(":")[0] for doubt in doubts] == ([] if locked else ["clocks are not fixed"])


def test_what_is_no_jetson_says_so(tmp_path: Path) -> None:
    doubts = module.warnings(tmp_path, answers(module.NOT_THERE, "nvpmodel: not found"))
    assert len(doubts) == 3
    assert "this is no L4T" in doubts[0]


def test_a_power_mode_is_changed_as_root_only() -> None:
    with pytest.raises(InputError, match="it needs root"):
        module.change_power_mode(2, answers(1, "NVPM ERROR"))
    module.change_power_mode(2, answers(0, ""))
