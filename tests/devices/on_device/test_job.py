"""The program that looks after jobs, run as it runs on a device: by a Python, as a program of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgedistill.devices.on_device import job

PYTHON = "python3"
WAIT = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.02)"


class Board:
    """A folder of jobs and a lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ask(self, verb: str, name: str, *options: str) -> dict[str, Any]:
        command = (sys.executable, job.__file__, verb, "--folder", str(self.folder / name), *options)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode in (0, 2), done.stderr
        return dict(json.loads(done.stdout))

    def start(self, name: str, *command: str, timeout_s: float = 60, owner: str = "anna@desk") -> dict[str, Any]:
        options = ("--lock", str(self.folder / "lock"), "--owner", owner, "--timeout", str(timeout_s))
        return self.ask("start", name, *options, "--", *command)

    def end(self, name: str) -> dict[str, Any]:
        return self.ask("wait", name, "--seconds", "30")


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_a_job_runs_detached_and_its_files_are_described(board: Board) -> None:
    program = "import sys; print('out'); print('err', file=sys.stderr); open('a', 'w').write('abc'); sys.exit(5)"
    assert board.start("one", PYTHON, "-c", program)["state"] in ("running", "done")
    end = board.end("one")
    assert (end["state"], end["returncode"], end["ended"], end["log"]) == ("done", 5, "exited", "err\n")
    assert {name: file["size_bytes"] for name, file in end["files"].items()} == {"a": 3, "stderr": 4, "stdout": 4}
    assert end["files"]["a"]["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert not (board.folder / "one" / "reserved").exists()


def test_a_second_start_finds_the_job_running_and_done(board: Board) -> None:
    go = board.folder / "go"
    command = (PYTHON, "-c", f"print('once')\n{WAIT}", str(go))
    assert board.start("one", *command)["state"] == "running"
    assert board.start("one", *command)["state"] == "running"
    go.touch()
    board.end("one")
    assert board.start("one", *command)["state"] == "done"
    assert (board.folder / "one" / "stdout").read_text() == "once\n"


def test_a_second_user_is_told_who_has_the_board(board: Board) -> None:
    go = board.folder / "go"
    board.start("one", PYTHON, "-c", WAIT, str(go), owner="anna@desk")
    assert board.start("two", PYTHON, "-c", "0", owner="bert@lab") == {
        "schema": "edgedistill.job/1",
        "state": "busy",
        "owner": "anna@desk",
    }
    go.touch()
    board.end("one")
    board.start("two", PYTHON, "-c", "0", owner="bert@lab")
    assert board.end("two")["returncode"] == 0


def test_a_job_that_hangs_is_ended_with_its_children(board: Board) -> None:
    child = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']);"
    program = f"{child} print(p.pid, flush=True); time.sleep(99)"
    board.start("one", PYTHON, "-c", program, timeout_s=1)
    end = board.end("one")
    assert (end["ended"], end["returncode"]) == ("timed out", -signal.SIGTERM)
    assert _is_gone(int((board.folder / "one" / "stdout").read_text()))


def test_a_job_can_be_stopped(board: Board) -> None:
    board.start("one", PYTHON, "-c", "import time; time.sleep(99)")
    assert board.ask("stop", "one")["ended"] == "stopped"


def test_a_killed_supervisor_leaves_a_lost_job_that_can_be_begun_again(board: Board) -> None:
    program = "import os, time; print(os.getppid(), flush=True); time.sleep(99)"
    board.start("one", PYTHON, "-c", program)
    _kill_parent(board.folder / "one" / "stdout")
    lost = {"schema": "edgedistill.job/1", "state": "lost", "reason": "its process was killed"}
    assert {key: board.ask("wait", "one")[key] for key in lost} == lost
    assert board.start("one", PYTHON, "-c", "0")["state"] == "lost"
    assert board.ask("remove", "one")["state"] == "none"
    assert not (board.folder / "one").exists()


def test_the_board_stays_taken_while_a_command_lives_whose_supervisor_was_killed(board: Board) -> None:
    go = board.folder / "go"
    board.start("one", PYTHON, "-c", f"import os; print(os.getppid(), flush=True)\n{WAIT}", str(go))
    _kill_parent(board.folder / "one" / "stdout")
    assert board.start("two", PYTHON, "-c", "0")["state"] == "busy"
    go.touch()


def test_after_a_reboot_the_job_is_lost_and_says_so(board: Board) -> None:
    program = "import os, time; print(os.getppid(), flush=True); time.sleep(99)"
    board.start("one", PYTHON, "-c", program)
    _kill_parent(board.folder / "one" / "stdout")
    about = json.loads((board.folder / "one" / "job.json").read_text())
    (board.folder / "one" / "job.json").write_text(json.dumps({**about, "boot_id": "another"}))
    assert board.ask("wait", "one")["reason"] == "the device was started anew"


def test_a_wall_clock_that_jumps_changes_no_duration_and_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walls = iter((1_000_000.0, 1_000_000.0 - 86_400.0))
    monkeypatch.setattr(job.time, "time", lambda: next(walls))
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    job._supervise(tmp_path, 30.0, [PYTHON, "-c", "import time; time.sleep(0.3)"], lock)
    os.close(lock)
    end = json.loads((tmp_path / "end.json").read_text())
    assert (end["ended"], end["returncode"]) == ("exited", 0)
    assert end["seconds"] < 30
    assert end["clock_jump_s"] == pytest.approx(-86_400.0, abs=30)


def test_a_program_that_is_not_there_ends_the_job(board: Board) -> None:
    board.start("one", "/no/such/program")
    end = board.end("one")
    assert end["returncode"] == 127
    assert "No such file" in end["ended"]


def test_a_full_disk_refuses_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    state = job.start(tmp_path / "one", tmp_path / "lock", owner="", timeout_s=1, command=["true"])
    assert state == {"state": "full", "free_bytes": 1, "needed_bytes": job.NEEDED_BYTES}


def test_a_result_waits_for_room_on_a_disk_that_became_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []
    whole = job._write_whole

    def write(path: Path, document: dict[str, Any]) -> None:
        attempts.append(path.name)
        if len(attempts) < 3:
            raise OSError(28, "No space left on device")
        whole(path, document)

    monkeypatch.setattr(job, "_write_whole", write)
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    job._supervise(tmp_path, 30.0, [PYTHON, "-c", "0"], lock)
    os.close(lock)
    assert json.loads((tmp_path / "end.json").read_text())["returncode"] == 0
    assert len(attempts) == 3


def test_a_running_job_is_not_removed(board: Board) -> None:
    go = board.folder / "go"
    board.start("one", PYTHON, "-c", WAIT, str(go))
    assert board.ask("remove", "one")["state"] == "running"
    go.touch()
    assert board.end("one")["returncode"] == 0


def test_a_wrong_command_line_is_one_document(board: Board) -> None:
    assert board.ask("start", "one")["state"] == "error"


def test_the_log_is_given_in_parts(board: Board) -> None:
    board.start("one", PYTHON, "-c", "import sys; sys.stderr.write('abc')")
    board.end("one")
    first = board.ask("wait", "one", "--offset", "0")
    assert (first["log"], first["offset"]) == ("abc", 3)
    assert board.ask("wait", "one", "--offset", "3")["log"] == ""


def _kill_parent(stdout: Path) -> None:
    for _ in range(500):
        if stdout.exists() and stdout.read_text().endswith("\n"):
            parent = int(stdout.read_text().splitlines()[0])
            os.kill(parent, signal.SIGKILL)
            assert _is_gone(parent)
            return
        time.sleep(0.02)
    pytest.fail("the job did not begin")


def _is_gone(process: int) -> bool:
    for _ in range(500):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False
