"""Jobs on a device: started there, detached from the connection, fetched when they are done.

A job has a key. Whoever starts it again, after a cut connection, a closed laptop or a killed process, finds it: running
or done. It is forgotten on the device only when its results are here.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import shlex
import shutil
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from edgedistill.devices.on_device import job as program
from edgedistill.devices.remote import RemoteDevice
from edgedistill.errors import DeviceError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgedistill.devices.base import Device

    Say = Callable[[str], None]

ANSWER_S = 20.0
"""How long the device holds one question for a job's end."""
LONGEST_PAUSE_S = 15.0
CLOCK_JUMP_S = 1.0
LAST_WORDS = 400


@dataclass(frozen=True)
class Job:
    """A command to carry out on a device.

    Args:
        key: the same key is the same job.
        command: `python3` is the device's Python, `{folder}` the job's own folder there.
        timeout_s: after which it is ended there, in seconds of its monotonic clock.
        outputs: names of files in the job's folder to fetch, besides what it printed.
    """

    key: str
    command: Sequence[str]
    timeout_s: float
    outputs: Sequence[str] = ()


@dataclass(frozen=True)
class Patience:
    """How long to wait for what may pass.

    Args:
        contact_s: without a connection: a device that is started anew takes a minute or two.
        busy_s: for another user's job.
        restarts: how often a job that was lost, as in a reboot, is begun again.
    """

    contact_s: float = 300.0
    busy_s: float = 600.0
    restarts: int = 1


@dataclass(frozen=True)
class Finished:
    """A job that ended by itself.

    Args:
        returncode: of its command.
        stdout: what it printed.
        stderr: what else it said.
        seconds: it took, by the device's monotonic clock.
        folder: local folder with `stdout`, `stderr` and the outputs.
        notes: what happened on the way, for the result.
    """

    returncode: int
    stdout: str
    stderr: str
    seconds: float
    folder: Path
    notes: tuple[str, ...]


PATIENCE = Patience()
FOLDER = "{folder}"
"""Stands in a job's command for the path of its folder on the device."""


def carried_out(
    device: Device, job: Job, *, into: Path, patience: Patience = PATIENCE, say: Say = lambda _: None
) -> Finished:
    """Carry out a job on any device: detached where there is a connection that can break, else waited for here.

    Args:
        device: where.
        job: what.
        into: local folder for its files; made when missing.
        patience: with a lost connection, and with other users.
        say: takes a line for the device's log at a time.

    Raises:
        UnreachableError, DeviceError: as `run_job`.
    """
    if isinstance(device, RemoteDevice):
        return run_job(device, job, into=into, patience=patience, say=say)
    with tempfile.TemporaryDirectory() as empty:
        folder = device.push(Path(empty))
    begun = time.monotonic()
    done = device.run([word.replace(FOLDER, str(folder)) for word in job.command], timeout_s=job.timeout_s)
    into.mkdir(parents=True, exist_ok=True)
    for name, text in (("stdout", done.stdout), ("stderr", done.stderr)):
        (into / name).write_text(text, "utf-8")
    if done.returncode == 0:
        for name in job.outputs:
            device.pull(folder / name, into / name)
    return Finished(done.returncode, done.stdout, done.stderr, time.monotonic() - begun, into, ())


def run_job(
    device: RemoteDevice, job: Job, *, into: Path, patience: Patience = PATIENCE, say: Say = lambda _: None
) -> Finished:
    """Carry out a job, or find the one that was started before, and fetch what it gave.

    Args:
        device: where.
        job: what.
        into: local folder for its files; made when missing.
        patience: with a lost connection, and with other users.
        say: takes a line for the device's log at a time.

    Raises:
        UnreachableError: no connection for too long; the job goes on there, and the same call finds it.
        DeviceError: another user's job does not end; the job took too long, was lost, or found the disk full.
    """
    return _Run(device, job, into, patience, say).result()


class _Run:
    """One job from start to end."""

    def __init__(self, device: RemoteDevice, job: Job, into: Path, patience: Patience, say: Say) -> None:
        self.device, self.job, self.into, self.patience, self.say = device, job, into, patience, say
        self.folder = device.home / "jobs" / job_folder(job)
        self.program = pushed_program(device)
        self.offset = 0
        self.notes: list[str] = []

    def result(self) -> Finished:
        state = self._started()
        restarts = 0
        while state["state"] != "done":
            if state["state"] in ("lost", "none"):
                reason = str(state.get("reason", "the device has forgotten it"))
                if restarts >= self.patience.restarts:
                    raise DeviceError(self._thing, found=f"it was lost {restarts + 1} times: {reason}")
                restarts += 1
                self._note(f"the job was lost, because {reason}; it was begun again")
                self._kept_trying("remove")
                self.offset = 0
                state = self._started()
            else:
                state = self._kept_trying("wait", "--seconds", str(ANSWER_S), "--offset", str(self.offset))
                self._say_log(state)
        return self._fetched(state)

    def _started(self) -> Mapping[str, object]:
        """Start or find the job; wait while the board is another's."""
        begun = time.monotonic()
        told = ""
        while True:
            state = self._kept_trying(
                *("start", "--lock", str(self.device.transport.lock), "--owner", owner(self.job)),
                *("--timeout", str(self.job.timeout_s), "--"),
                *(word.replace(FOLDER, str(self.folder)) for word in self.job.command),
            )
            if state["state"] == "full":
                found = f"its disk is full: {self.device.room()}"
                fix = "free some space there, or give the device another `folder` in devices.toml"
                raise DeviceError(self._thing, found=found, fix=fix)
            if state["state"] != "busy":
                self.say(f"job {self.folder.name}: {state['state']}")
                return state
            who = str(state.get("owner") or "somebody")
            if time.monotonic() - begun > self.patience.busy_s:
                raise DeviceError(
                    self._thing, found=f"the board is in use by {who}", fix="wait until it is free, then start again"
                )
            if who != told:
                self._note(f"waited for the board, which was in use by {who}")
                told = who
            time.sleep(1.0)

    def _kept_trying(self, verb: str, *options: str) -> Mapping[str, object]:
        """Ask the device about the job, again and again while there is no connection."""
        lost_since: float | None = None
        pause = 0.5
        while True:
            try:
                state = self._asked(verb, *options)
            except UnreachableError as error:
                now = time.monotonic()
                if lost_since is None:
                    lost_since = now
                    self.say(f"connection lost: {error}")
                if now - lost_since > self.patience.contact_s:
                    raise UnreachableError(
                        self._thing,
                        found=f"no connection for {now - lost_since:.0f} s; a job that runs there goes on",
                        fix="start the same again when the device can be reached: it finds the job",
                    ) from error
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
                continue
            if lost_since is not None:
                self._note(f"the connection was lost for {time.monotonic() - lost_since:.0f} s and came back")
            return state

    def _asked(self, verb: str, *options: str) -> Mapping[str, object]:
        command = ("python3", str(self.program / "job.py"), verb, "--folder", str(self.folder), *options)
        done = self.device.run(command, timeout_s=ANSWER_S + 60)
        try:
            document: Mapping[str, object] = json.loads(done.stdout)
        except ValueError as error:
            raise DeviceError(
                self._thing,
                found=f"`job.py {verb}` there ended with {done.returncode}: {done.stderr.strip()[-LAST_WORDS:]}",
                wanted="Python 3.8 or newer",
                fix=f"edgedistill devices doctor {self.device.name}",
            ) from error
        if document.get("state") == "error":
            raise DeviceError(self._thing, found=str(document.get("message")))
        return document

    def _fetched(self, end: Mapping[str, object]) -> Finished:
        self.into.mkdir(parents=True, exist_ok=True)
        files = end["files"]
        assert isinstance(files, dict)  # noqa: S101 - our own program's document
        for name in ("stdout", "stderr", *self.job.outputs):
            if name in files:
                self._fetch(name, files[name])
        self._judge(end)
        finished = Finished(
            returncode=int(str(end["returncode"])),
            stdout=self._text("stdout"),
            stderr=self._text("stderr"),
            seconds=float(str(end["seconds"])),
            folder=self.into,
            notes=tuple(self.notes),
        )
        self._kept_trying("remove")
        return finished

    def _fetch(self, name: str, described: Mapping[str, object]) -> None:
        """Fetch one file and see that it is the one the job wrote; once more where the connection broke."""
        for attempt in (1, 2, 3):
            try:
                self.device.pull(self.folder / name, self.into / name)
            except UnreachableError:
                if attempt == 3:  # noqa: PLR2004 - the last
                    raise
                self._kept_trying("wait", "--seconds", "0")
                continue
            with (self.into / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found == described["sha256"]:
                return
        raise DeviceError(self._thing, found=f"'{name}' came with another sha256 than it has there")

    def _judge(self, end: Mapping[str, object]) -> None:
        """Note what happened to the clock; refuse an end that is no result, and forget it on the device.

        Raises:
            DeviceError: it took too long, was stopped, or found the disk full.
        """
        jump = float(str(end["clock_jump_s"]))
        if abs(jump) > CLOCK_JUMP_S:
            self._note(f"the device's wall clock jumped by {jump:+.0f} s meanwhile; durations are of the monotonic one")
        asleep = float(str(end["asleep_s"]))
        if asleep > CLOCK_JUMP_S:
            self._note(f"the device slept for {asleep:.0f} s meanwhile")
        ended = str(end["ended"])
        last = (self._text("stderr") or self._text("stdout")).strip()[-LAST_WORDS:] or "nothing"
        if ended == "exited" and not (end["disk_full"] and end["returncode"]):
            return
        room = self.device.room() if end["disk_full"] else ""
        self._kept_trying("remove")
        if ended == "timed out":
            raise DeviceError(
                self._thing,
                found=f"no end within {self.job.timeout_s:g} s; it was stopped there; its last words: {last}",
                fix=f"look into '{self.into / 'stderr'}'; allow more time only if it was at work",
            )
        if end["disk_full"]:
            raise DeviceError(
                self._thing,
                found=f"its disk became full: {room}; its last words: {last}",
                fix="free some space there, or give the device another `folder` in devices.toml",
            )
        raise DeviceError(self._thing, found=f"it was {ended}; its last words: {last}")

    def _text(self, name: str) -> str:
        path = self.into / name
        return path.read_text("utf-8", errors="replace") if path.exists() else ""

    def _say_log(self, state: Mapping[str, object]) -> None:
        for line in str(state.get("log", "")).splitlines():
            self.say(f"  {line}")
        self.offset = int(str(state.get("offset", self.offset)))

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.say(text)

    @property
    def _thing(self) -> str:
        return f"job on {self.device.name}"


def job_folder(job: Job) -> str:
    """Return the name of a job's folder on the device."""
    return hashlib.sha256(job.key.encode()).hexdigest()[:16]


def owner(job: Job) -> str:
    """Return what another user of the board is told: who, from where, since when, with what."""
    since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return f"{getpass.getuser()}@{socket.gethostname()} since {since} ({job_folder(job)})"


def pushed_program(device: RemoteDevice) -> PurePosixPath:
    """Copy the program that looks after jobs to the device, where it is not there yet, and return its folder."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "job"
        place.mkdir()
        shutil.copyfile(program.__file__, place / "job.py")
        return device.push(place)


def cleaned(device: Device) -> str:
    """Remove what we keep on a device, unless a job runs there, and return what was freed.

    Raises:
        DeviceError: a job runs there, or the device cannot be reached.
    """
    if not isinstance(device, RemoteDevice):
        return "nothing is kept here"
    folder = shlex.quote(str(device.home))
    known = device.shell(f"ls {folder}/jobs 2>/dev/null; du -sk {folder} 2>/dev/null").stdout.split()
    names, size = [word for word in known if re.fullmatch(r"[0-9a-f]{16}", word)], known[-2] if len(known) > 1 else "0"
    program_folder = pushed_program(device)
    for name in names:
        place = str(device.home / "jobs" / name)
        done = device.run(("python3", str(program_folder / "job.py"), "wait", "--folder", place), timeout_s=ANSWER_S)
        if '"state": "running"' in done.stdout:
            raise DeviceError(f"device {device.name}", found=f"job {name} runs there", fix="wait until it has ended")
    device.shell(f"rm -rf {folder}")
    return f"{int(size) / 1024:.1f} MB freed"
