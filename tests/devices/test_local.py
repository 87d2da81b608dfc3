"""This workstation as a device."""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from edgedistill.devices.local import Local
from edgedistill.errors import DeviceError
from edgedistill.evaluate.executor import Execution

WAIT_FOR_A_FILE = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
with open(sys.argv[1], "w") as file:
    file.write(str(child.pid))
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "job" / "inner").mkdir(parents=True)
    (tmp_path / "job" / "program.py").write_text("import sys; print(open(sys.argv[1]).read()); sys.exit(5)")
    (tmp_path / "job" / "inner" / "text").write_text("hello")
    return tmp_path / "job"


def test_a_folder_is_pushed_a_command_run_and_a_file_pulled(folder: Path, tmp_path: Path) -> None:
    device = Local()
    place = device.push(folder)
    done = device.run(("python3", str(place / "program.py"), str(place / "inner" / "text")), timeout_s=60)
    assert (done.returncode, done.stdout, done.stderr) == (5, "hello\n", "")
    device.pull(place / "inner" / "text", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "hello"


def test_pushing_twice_gives_two_places(folder: Path) -> None:
    device = Local()
    assert device.push(folder) != device.push(folder)


def test_python3_is_the_python_that_runs_edgedistill() -> None:
    assert Local().run(("python3", "-c", "import sys; print(sys.executable)"), timeout_s=60).stdout.strip() == (
        sys.executable
    )


def test_what_was_pushed_is_gone_with_the_device(folder: Path) -> None:
    device = Local()
    place = Path(device.push(folder))
    assert place.exists()
    del device
    assert not place.exists()


def test_a_command_that_does_not_exist_ends_as_in_a_shell() -> None:
    done = Local().run(("no-such-program",), timeout_s=60)
    assert done.returncode == 127
    assert "no-such-program" in done.stderr


def test_a_command_without_end_is_stopped_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no end within 2 s") as caught:
        Local().run(("python3", "-c", WAIT_FOR_A_FILE, str(tmp_path / "pid")), timeout_s=2)
    assert caught.value.exit_code == 4
    assert _is_gone(int((tmp_path / "pid").read_text()))


def test_files_out_of_the_device_are_not_pulled(folder: Path, tmp_path: Path) -> None:
    device = Local()
    device.push(folder)
    with pytest.raises(DeviceError, match="a path out of the device's own folder"):
        device.pull(PurePosixPath(folder / "inner" / "text"), tmp_path / "back")


def test_a_file_that_is_missing_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    device = Local()
    place = device.push(folder)
    with pytest.raises(DeviceError, match="No such file"):
        device.pull(place / "absent", tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job"]


def test_a_folder_that_is_missing_cannot_be_pushed(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"copy of '.*absent' to local"):
        Local().push(tmp_path / "absent")


def test_it_describes_itself() -> None:
    facts = Local().describe()
    assert (facts.name, facts.execution, facts.machine) == ("local", Execution.HOST, platform.machine())
    assert facts.facts["python"] == platform.python_version()
    assert facts.facts["numpy"] == np.__version__


def _is_gone(process: int) -> bool:
    """Tell whether a process has ended; its last moments as a zombie count."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False
