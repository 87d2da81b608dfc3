"""Jobs from this side: over a connection that breaks, on a board that is another's or that is started anew."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest
from local_shell import LocalShell, near

from edgedistill.devices import jobs
from edgedistill.devices.jobs import Job, Patience, cleaned, job_folder, run_job
from edgedistill.devices.remote import RemoteDevice
from edgedistill.errors import DeviceError, UnreachableError

QUICK = Patience(contact_s=1.0, busy_s=0.5, restarts=1)
COUNTED = "import sys; open(sys.argv[1], 'a').write('x'); print('done'); open('out', 'w').write('result')"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "ANSWER_S", 0.3)


def counted(folder: Path, *, key: str = "k") -> Job:
    """Return a job that leaves one mark each time it is carried out."""
    return Job(key, ("python3", "-c", COUNTED, str(folder / "marks")), 60, ("out",))


def test_a_job_is_carried_out_and_fetched_and_then_forgotten(tmp_path: Path) -> None:
    device, _ = near(tmp_path)
    done = run_job(device, counted(tmp_path), into=tmp_path / "into")
    assert (done.returncode, done.stdout, done.notes) == (0, "done\n", ())
    assert (done.folder / "out").read_text() == "result"
    assert list(Path(device.home / "jobs").iterdir()) == []
    run_job(device, counted(tmp_path), into=tmp_path / "into")
    assert (tmp_path / "marks").read_text() == "xx"  # it had been forgotten, so that it is measured anew


def test_a_connection_cut_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    device, transport = near(tmp_path)
    program = f"import time; time.sleep(1); {COUNTED}"
    job = Job("k", ("python3", "-c", program, str(tmp_path / "marks")), 60, ("out",))
    cutter = threading.Timer(0.5, lambda: setattr(transport, "cut", 2))
    cutter.start()
    said: list[str] = []
    done = run_job(device, job, into=tmp_path / "into", say=said.append)
    assert done.stdout == "done\n"
    assert any("connection was lost" in note for note in done.notes)
    assert any(line.startswith("connection lost") for line in said)
    assert (tmp_path / "marks").read_text() == "x"


def test_a_second_start_finds_what_the_first_left_running(tmp_path: Path) -> None:
    device, transport = near(tmp_path)
    program = f"import time; time.sleep(1.5); {COUNTED}"
    job = Job("k", ("python3", "-c", program, str(tmp_path / "marks")), 60, ("out",))
    cutter = threading.Timer(0.5, lambda: setattr(transport, "cut", 10**6))
    cutter.start()
    with pytest.raises(UnreachableError, match="a job that runs there goes on") as caught:
        run_job(device, job, into=tmp_path / "into", patience=QUICK)
    assert caught.value.exit_code == 4
    transport.cut = 0
    done = run_job(device, job, into=tmp_path / "into", patience=QUICK)
    assert done.stdout == "done\n"
    assert (tmp_path / "marks").read_text() == "x"


def test_a_device_that_cannot_be_reached_at_first_is_not_waited_for(tmp_path: Path) -> None:
    device, transport = near(tmp_path)
    transport.cut = 1
    with pytest.raises(UnreachableError):
        run_job(device, counted(tmp_path), into=tmp_path / "into")


def test_a_job_lost_in_a_reboot_is_begun_again_and_says_so(tmp_path: Path) -> None:
    device, _ = near(tmp_path)
    program = (
        "import os, pathlib, signal, sys, time\n"
        "first = not pathlib.Path(sys.argv[1]).exists()\n"
        f"{COUNTED}\n"
        "if first: os.kill(os.getppid(), signal.SIGKILL); os.kill(os.getpid(), signal.SIGKILL)"
    )
    job = Job("k", ("python3", "-c", program, str(tmp_path / "marks")), 60, ("out",))
    done = run_job(device, job, into=tmp_path / "into")
    assert done.returncode == 0
    assert done.notes == ("the job was lost, because its process was killed; it was begun again",)
    assert (tmp_path / "marks").read_text() == "xx"


def test_a_job_that_is_lost_again_and_again_is_given_up(tmp_path: Path) -> None:
    device, _ = near(tmp_path)
    program = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"
    with pytest.raises(DeviceError, match="it was lost 2 times: its process was killed"):
        run_job(device, Job("k", ("python3", "-c", program), 60), into=tmp_path / "into")


def test_a_hanging_job_is_stopped_there_and_its_last_words_are_kept(tmp_path: Path) -> None:
    device, _ = near(tmp_path)
    program = "import sys, time; print('sample 17', file=sys.stderr, flush=True); time.sleep(99)"
    with pytest.raises(DeviceError, match="no end within 1 s; it was stopped there; its last words: sample 17"):
        run_job(device, Job("k", ("python3", "-c", program), 1), into=tmp_path / "into")
    assert (tmp_path / "into" / "stderr").read_text() == "sample 17\n"
    assert list(Path(device.home / "jobs").iterdir()) == []  # the next start is a new one


def test_a_disk_that_becomes_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device, _ = near(tmp_path)
    whole = jobs._Run._kept_trying

    def kept_trying(run: jobs._Run, verb: str, *options: str) -> dict[str, object]:
        state = dict(whole(run, verb, *options))
        return {**state, "disk_full": True} if state["state"] == "done" else state

    monkeypatch.setattr(jobs._Run, "_kept_trying", kept_trying)
    program = "import sys; print('OSError: [Errno 28] No space left on device', file=sys.stderr); sys.exit(1)"
    with pytest.raises(DeviceError, match=r"its disk became full: [\d.]+ MB of [\d.]+ MB are free .* No space left"):
        run_job(device, Job("k", ("python3", "-c", program), 60), into=tmp_path / "into")


def test_another_user_s_job_is_waited_for_and_named(tmp_path: Path) -> None:
    device, transport = near(tmp_path)
    other = RemoteDevice(LocalShell(tmp_path / "other"), python=sys.executable)
    (tmp_path / "other").mkdir()
    other.transport.lock = transport.lock  # type: ignore[misc] # the same board
    program = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.02)"
    hold = Job("theirs", ("python3", "-c", program, str(tmp_path / "go")), 60)
    thread = threading.Thread(target=run_job, args=(other, hold), kwargs={"into": tmp_path / "theirs"})
    thread.start()
    _wait_for(Path(other.home) / "jobs" / job_folder(hold) / "stdout")
    with pytest.raises(DeviceError, match=rf"the board is in use by .* \({job_folder(hold)}\)"):
        run_job(device, counted(tmp_path), into=tmp_path / "into", patience=QUICK)
    threading.Timer(0.5, (tmp_path / "go").touch).start()
    done = run_job(device, counted(tmp_path), into=tmp_path / "into")
    thread.join()
    assert done.stdout == "done\n"
    assert [note.partition(", which")[0] for note in done.notes] == ["waited for the board"]


def test_a_file_that_changed_on_its_way_is_not_taken(tmp_path: Path) -> None:
    device, transport = near(tmp_path)
    fetch = transport.fetch

    def changing(path: Path, into: Path, *, timeout_s: float) -> object:
        done = fetch(path, into, timeout_s=timeout_s)  # type: ignore[arg-type] # as it is
        into.write_bytes(bytes(len(into.read_bytes())))
        return done

    transport.fetch = changing  # type: ignore[assignment, method-assign] # a fault
    with pytest.raises(DeviceError, match="another sha256"):
        run_job(device, counted(tmp_path), into=tmp_path / "into")


def test_a_clock_that_jumped_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device, _ = near(tmp_path)
    run_job(device, counted(tmp_path), into=tmp_path / "into")
    run = jobs._Run(device, counted(tmp_path), tmp_path / "into", QUICK, lambda _: None)
    monkeypatch.setattr(run, "_kept_trying", lambda *_: {})
    run._judge({"clock_jump_s": 3600.0, "asleep_s": 0.0, "ended": "exited", "disk_full": False, "returncode": 0})
    assert run.notes == ["the device's wall clock jumped by +3600 s meanwhile; durations are of the monotonic one"]


def test_a_device_without_python_says_what_it_wants(tmp_path: Path) -> None:
    device = RemoteDevice(LocalShell(tmp_path), python="/no/python3")
    with pytest.raises(DeviceError, match=r"wanted Python 3\.8 or newer"):
        run_job(device, counted(tmp_path), into=tmp_path / "into")


def test_cleaning_removes_everything_but_not_under_a_running_job(tmp_path: Path) -> None:
    device, transport = near(tmp_path)
    go = tmp_path / "go"
    program = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.02)"
    folder = Path(device.home) / "jobs" / ("0" * 16)
    place = jobs.pushed_program(device)
    start = ("python3", str(place / "job.py"), "start", "--folder", str(folder), "--lock", str(transport.lock))
    device.run((*start, "--owner", "me", "--timeout", "60", "--", "python3", "-c", program, str(go)), timeout_s=10)
    with pytest.raises(DeviceError, match="job 0000000000000000 runs there"):
        cleaned(device)
    go.touch()
    _wait_for(folder / "end.json")
    assert cleaned(device).endswith("MB freed")
    assert not Path(device.home).exists()


def _wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
