"""What can go wrong with a board, done to emulated boards that boot, and what a user sees of it.

Each scenario does one thing to a real connection (OpenSSH, adb) or a real board, and returns what came of it. The tests
assert on that; `end_to_end.py` records it.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import socket
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from edgedistill.cache import cache_folder
from edgedistill.devices.emulation import boards
from edgedistill.devices.emulation.boards import BoardChoice, EmulatedBoard, Link
from edgedistill.devices.host_tools import run_tool
from edgedistill.devices.inventory import Entry, Listed, reached
from edgedistill.devices.jobs import Job, Patience, run_job
from edgedistill.devices.readiness import examined
from edgedistill.devices.remote import RemoteDevice
from edgedistill.errors import EdgeDistillError
from edgedistill.targets.base import Artifact, DeviceProfile
from edgedistill.targets.device_executor import DeviceExecutor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PATIENCE = Patience(contact_s=60.0, busy_s=60.0)
JOB_TIMEOUT_S = 300.0
SLOW = "import sys, time; print('begun', file=sys.stderr, flush=True); time.sleep({seconds}); print('done')"
FILLING = "f = open('/home/root/filling', 'wb')\nwhile True: f.write(bytes(2**20)); f.flush()"
# A namespace cannot set the kernel's clock; so every Python there reads a wall clock that a file can set off.
JUMPING = """#!/bin/sh
exec env PYTHONPATH=$HOME/jumping.d python3 "$@"
"""
CLOCK = """import pathlib, time
real, real_ns, offset = time.time, time.time_ns, pathlib.Path("/home/root/clock")
time.time = lambda: real() + int(offset.read_text())
time.time_ns = lambda: real_ns() + int(offset.read_text()) * 10**9
"""
TEN_YEARS_S = 315_360_000
HANGING = "import sys, time; print('inference 17', file=sys.stderr, flush=True); time.sleep(3600)"


@dataclass(frozen=True)
class Seen:
    """What came of a scenario.

    Args:
        message: the error that the user saw; empty when there was a result.
        notes: what the result says happened on the way.
        result: what was computed, or printed; none when there was an error.
        seconds: from start to end.
        more: what else was looked at.
    """

    message: str
    notes: tuple[str, ...]
    result: object
    seconds: float
    more: dict[str, object] = field(default_factory=dict)


class Lab:
    """Boards, and an artifact to run on them.

    Args:
        artifact: folder of a built artifact of the target arm-onnxruntime.
        work: local folder.
    """

    def __init__(self, artifact: Path, work: Path) -> None:
        self.artifact, self.work = artifact, work
        self.cache = work / "cache"
        self.cache.mkdir(parents=True, exist_ok=True)
        if not (self.cache / "arm64").exists():
            (self.cache / "arm64").symlink_to(cache_folder().absolute() / "arm64")

    def start(self, name: str, choice: BoardChoice | None = None) -> EmulatedBoard:
        """Start a board, or return the one of this name that runs."""
        running = [board for board in boards.boards(cache=self.cache) if board.name == name and board.running]
        return running[0] if running else boards.start(choice or BoardChoice("cortex-a72"), name=name, cache=self.cache)

    def close(self) -> None:
        """Stop every board."""
        for board in boards.boards(cache=self.cache):
            boards.stop(board.name, cache=self.cache, remove=True)

    def executor(
        self,
        device: RemoteDevice,
        *,
        artifact: Path | None = None,
        machine: str = "aarch64",
        timeout_s: float = JOB_TIMEOUT_S,
    ) -> DeviceExecutor:
        """Return the artifact on a device."""
        folder = artifact or self.artifact
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        built = Artifact(folder, manifest["target"], manifest["profile"], manifest["model"], ())
        profile = DeviceProfile(manifest["profile"], manifest["profile"], {"machine": machine})
        return DeviceExecutor(built, profile, device, self.work / "jobs", timeout_s, PATIENCE)

    def inputs(self) -> NDArray[np.float32]:
        """Return the golden inputs."""
        with np.load(self.artifact / "golden.npz", allow_pickle=False) as golden:
            return np.array(golden["inputs"])


def device_of(
    board: EmulatedBoard, *, user: str = "root", port: int | None = None, python: str = "python3"
) -> RemoteDevice:
    """Return the device that a board is; for another user, through another port, with another Python."""
    name = f"{user}@{board.name}" if user != "root" else board.name
    address = f"ssh://{user}@{board.name}" + (f":{port}" if port else "")
    entry = (
        Entry(address=address, ssh_config=str(board.ssh_config), python=python)
        if board.choice.link is Link.SSH
        else Entry(address=board.address, adb=str(board.adb), python=python)
    )
    device = reached(Listed(name, entry, None))
    if not isinstance(device, RemoteDevice):
        raise TypeError(f"{name} is reached without a connection")
    return device


def seen(work: Callable[[], tuple[object, tuple[str, ...]]]) -> Seen:
    """Return what came of some work: its result and notes, or the message of its error."""
    begun = time.monotonic()
    try:
        result, notes = work()
    except EdgeDistillError as error:
        return Seen(
            str(error), (), None, time.monotonic() - begun, {"exit_code": error.exit_code, "kind": type(error).__name__}
        )
    return Seen("", notes, result, time.monotonic() - begun)


def end_to_end(lab: Lab, board: EmulatedBoard) -> Seen:
    """Push the artifact, verify it there, run it, fetch the outputs, compare with this workstation's."""
    executor = lab.executor(device_of(board))
    inputs = lab.inputs()

    def work() -> tuple[object, tuple[str, ...]]:
        return executor.run(inputs), tuple(executor.notes)

    found = seen(work)
    if found.result is None:
        return found
    outputs = np.asarray(found.result)
    facts = executor.facts
    more = {
        "machine": facts.machine,
        "clusters": facts.facts.get("clusters"),
        "execution": str(facts.execution),
        "samples": len(inputs),
        "identical_to_this_workstation": bool(np.array_equal(outputs, here(lab, inputs))),
    }
    return Seen("", found.notes, outputs.tolist(), found.seconds, more)


def here(lab: Lab, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return this workstation's outputs of the same file, its integers exact."""
    settings = onnxruntime.SessionOptions()
    settings.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(lab.artifact / "model.onnx", settings, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: inputs})[0], np.float32)


class Moment:
    """Does something once, as soon as a job runs.

    Args:
        work: what to do.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=work)
        self._begun = False

    def heard(self, line: str) -> None:
        """Take a line of a job's log."""
        if line.endswith("running") and not self._begun:
            self._begun = True
            self._thread.start()

    def past(self) -> None:
        """Wait until it is done.

        Raises:
            RuntimeError: the job never ran.
        """
        if not self._begun:
            raise RuntimeError("the job never ran")
        self._thread.join()


def slow_job(
    lab: Lab, device: RemoteDevice, *, seconds: float, name: str, moment: Moment | None = None
) -> tuple[object, tuple[str, ...]]:
    """Carry out a job that takes some seconds, and do something as soon as it runs."""
    job = Job(name, ("python3", "-c", SLOW.format(seconds=seconds)), JOB_TIMEOUT_S)
    say = moment.heard if moment else lambda _: None
    done = run_job(device, job, into=lab.work / name, patience=PATIENCE, say=say)
    if moment:
        moment.past()
    return done.stdout.strip(), done.notes


def connection_cut(lab: Lab) -> Seen:
    """Cut the cable while a job runs, for two seconds."""
    board = lab.start("a72")
    cable = Cable(board.port)
    device = device_of(board, port=cable.port)

    def interfere() -> None:
        cable.cut()
        time.sleep(2.0)
        cable.mend()

    return seen(lambda: slow_job(lab, device, seconds=5, name="cut", moment=Moment(interfere)))


def client_killed(lab: Lab) -> Seen:
    """Give up on a job, as a laptop that is closed does, and start the same again later."""
    board = lab.start("a72")
    cable = Cable(board.port)
    marks = "/home/root/marks"
    program = f"import time; open({marks!r}, 'a').write('x'); time.sleep(5); print('done')"
    job = Job("left", ("python3", "-c", program), JOB_TIMEOUT_S)
    device = device_of(board, port=cable.port)
    moment, impatient = Moment(cable.cut), Patience(contact_s=1.0)
    into = lab.work / "left"
    first = seen(lambda: (run_job(device, job, into=into, patience=impatient, say=moment.heard).stdout, ()))
    moment.past()
    cable.mend()
    again = seen(lambda: (run_job(device, job, into=into, patience=PATIENCE).stdout.strip(), ()))
    times = device.shell(f"cat {marks}; rm {marks}").stdout
    return Seen(first.message, again.notes, again.result, first.seconds + again.seconds, {"carried_out": len(times)})


def adb_server_killed(lab: Lab) -> Seen:
    """Kill adb's server on this workstation while a job runs, again and again for two seconds.

    Once is not enough to be noticed: the next command starts it anew, perhaps between two looks at the job.
    """
    board = lab.start("a53-adb", BoardChoice("cortex-a53", Link.ADB))
    device = device_of(board)

    def interfere() -> None:
        mended = time.monotonic() + 2.0
        while time.monotonic() < mended:
            run_tool(str(board.adb), "kill-server")
            time.sleep(0.05)

    return seen(lambda: slow_job(lab, device, seconds=5, name="adb", moment=Moment(interfere)))


def reboot(lab: Lab) -> Seen:
    """Cut a board's power while a job runs, and start it again."""
    board = lab.start("reboots")
    device = device_of(board)

    def interfere() -> None:
        boards.stop(board.name, cache=lab.cache)
        time.sleep(1.0)
        lab.start(board.name)

    return seen(lambda: slow_job(lab, device, seconds=5, name="reboot", moment=Moment(interfere)))


def disk_full(lab: Lab) -> Seen:
    """Copy an artifact to a disk that is too small for it."""
    board = lab.start("small-disk", BoardChoice("cortex-a72", disk_mb=8))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "artifact"
        place.mkdir()
        (place / "model.onnx").write_bytes(bytes(12 * 2**20))
        found = seen(lambda: (str(device_of(board).push(place)), ()))
    left = device_of(board).shell("find .edgedistill -type f | wc -l").stdout.strip()
    return Seen(found.message, (), None, found.seconds, {"files_left": int(left or 0)})


def disk_becomes_full(lab: Lab) -> Seen:
    """Fill the disk while a job runs; then make room, and start it again."""
    board = lab.start("small-disk", BoardChoice("cortex-a72", disk_mb=8))
    device = device_of(board)
    job = Job("fill", ("python3", "-c", FILLING), JOB_TIMEOUT_S)
    found = seen(lambda: (run_job(device, job, into=lab.work / "fill", patience=PATIENCE).stdout, ()))
    device.shell("rm -f /home/root/filling")
    again = seen(lambda: slow_job(lab, device, seconds=0, name="after"))
    return Seen(found.message, (), again.result, found.seconds + again.seconds)


def wrong_host_key(lab: Lab) -> Seen:
    """Expect another host key than the board has."""
    board = lab.start("a72")
    other = lab.start("reboots")
    key = (other.folder / "disk/ssh/host_key.pub").read_text("utf-8")
    return _with_known_hosts(board, f"{board.name} {key}")


def unknown_host_key(lab: Lab) -> Seen:
    """Know no host key of the board."""
    return _with_known_hosts(lab.start("a72"), "")


def _with_known_hosts(board: EmulatedBoard, text: str) -> Seen:
    with tempfile.TemporaryDirectory() as folder:
        known, config = Path(folder) / "known_hosts", Path(folder) / "ssh_config"
        known.write_text(text, "utf-8")
        lines = board.ssh_config.read_text("utf-8").replace(str(board.folder / "known_hosts"), str(known))
        config.write_text(lines, "utf-8")
        # another port, so that a connection that is there already is not taken
        entry = Entry(address=f"ssh://root@{board.name}:{Cable(board.port).port}", ssh_config=str(config))
        return seen(lambda: (str(reached(Listed(board.name, entry, None)).describe()), ()))


def missing_runtime(lab: Lab) -> Seen:
    """Run on a board without numpy and onnxruntime; mend it with the doctor's own command; run again."""
    board = lab.start("bare", BoardChoice("cortex-a76", bare=True))
    device = device_of(board)
    first = seen(lambda: (lab.executor(device).run(lab.inputs()).tolist(), ()))
    command = next(check.fix for check in examined(device, wheels=True) if check.name == "onnxruntime")
    mended = run_tool(*shlex.split(command))
    again = end_to_end(lab, board)
    more = {"command": command, "command_ended_with": mended.returncode, **again.more, "message_again": again.message}
    return Seen(first.message, again.notes, again.result, first.seconds + again.seconds, more)


def wrong_architecture(lab: Lab) -> Seen:
    """Run an artifact that was built for another kind of machine."""
    device = device_of(lab.start("a72"))
    return seen(lambda: (lab.executor(device, machine="armv7l").run(lab.inputs()).tolist(), ()))


def hanging_inference(lab: Lab) -> Seen:
    """Run an artifact whose runner never ends."""
    board = lab.start("a72")
    device = device_of(board)
    job = Job("hang", ("python3", "-c", HANGING), 4.0)
    found = seen(lambda: (run_job(device, job, into=lab.work / "hang", patience=PATIENCE).stdout, ()))
    left = device.shell("ps | grep -c '[i]nference 17'").stdout.strip()
    again = seen(lambda: slow_job(lab, device, seconds=0, name="after-hang"))
    more = {"processes_left": int(left), "log": (lab.work / "hang" / "stderr").read_text("utf-8").strip()}
    return Seen(found.message, (), again.result, found.seconds + again.seconds, more)


def clock_jumps(lab: Lab) -> Seen:
    """Set a board's clock back by ten years while a job runs."""
    board = lab.start("a72")
    plain = device_of(board)
    plain.shell(
        f"mkdir -p jumping.d; printf '%s' {shlex.quote(CLOCK)} > jumping.d/sitecustomize.py; "
        f"printf '%s' {shlex.quote(JUMPING)} > jumping; chmod +x jumping; echo 0 > clock"
    )
    device = device_of(board, python="/home/root/jumping")
    moment = Moment(lambda: plain.shell(f"echo -{TEN_YEARS_S} > clock"))
    return seen(lambda: slow_job(lab, device, seconds=4, name="clock", moment=moment))


def two_users(lab: Lab) -> Seen:
    """Have two users of one board start a job each at the same time."""
    board = lab.start("a72")
    first, second = device_of(board), device_of(board, user="edge")
    found: list[Seen] = []
    moment = Moment(lambda: found.append(seen(lambda: slow_job(lab, second, seconds=0, name="second"))))
    one = seen(lambda: slow_job(lab, first, seconds=4, name="first", moment=moment))
    (other,) = found
    return Seen(other.message, other.notes, [one.result, other.result], other.seconds)


class Cable:
    """A TCP connection to a board that can be cut; connections are refused until it is mended.

    Args:
        port: of the board, on this machine.
    """

    def __init__(self, port: int) -> None:
        self._board, self._whole = port, True
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Cut every connection."""
        self._whole = False
        for end in self._ends:
            _shut(end)
        self._ends.clear()

    def mend(self) -> None:
        """Let connections through again."""
        self._whole = True

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            if not self._whole:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._board))
            self._ends += [near, far]
            for source, into in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, into), daemon=True).start()


def _pump(source: socket.socket, into: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            into.sendall(block)
    _shut(into)
    source.close()


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


SCENARIOS = {
    "connection cut in the middle": connection_cut,
    "client gone, started again later": client_killed,
    "adb server killed in the middle": adb_server_killed,
    "device reboot": reboot,
    "disk full when copying": disk_full,
    "disk full in the middle": disk_becomes_full,
    "wrong host key": wrong_host_key,
    "unknown host key": unknown_host_key,
    "missing onnxruntime": missing_runtime,
    "wrong architecture": wrong_architecture,
    "hanging inference": hanging_inference,
    "clock jumping": clock_jumps,
    "two users on one board": two_users,
}
