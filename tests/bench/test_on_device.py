"""What is asked of a device's runner, and how its answers are read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedistill.bench.measurement import Measurement, Rehearsal
from edgedistill.bench.on_device import (
    Place,
    Settings,
    judged,
    measure_on_device,
    measure_pair_on_device,
    outputs_on_device,
)
from edgedistill.bench.reading import recording_from_document
from edgedistill.devices.base import Completed, DeviceFacts
from edgedistill.errors import DataError, DeviceError, GateError, UnsupportedError
from edgedistill.evaluate.executor import Execution

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass
class Board:
    """A device that answers what it was told to."""

    answer: str = ""
    returncode: int = 0
    execution: Execution = Execution.DEVICE
    name: str = "desk"
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def describe(self) -> DeviceFacts:
        return DeviceFacts(name=self.name, machine="aarch64", execution=self.execution, facts={})

    def push(self, folder: Path) -> PurePosixPath:
        return PurePosixPath("/board") / folder.name

    def run(self, command: Sequence[str], *, timeout_s: float) -> Completed:
        assert timeout_s > 0
        self.asked.append(tuple(command))
        return Completed(self.returncode, self.answer, "a line on stderr")

    def pull(self, path: PurePosixPath, into: Path) -> None:
        assert path.name == "outputs.npy"
        np.save(into, np.ones((2, 3), np.float32))


def test_the_runner_is_asked_for_what_the_settings_say(tmp_path: Path, document: dict[str, object]) -> None:
    board = Board(json.dumps({"ok": True, "result": document}))
    settings = Settings(processes=2, seconds=3.0, samples=500, threads=4, affinity=(4, 5), rest_seconds=0.0)
    recording = measure_on_device(tmp_path / "art", Place(board, tmp_path), settings)
    (command,) = board.asked
    assert command[:3] == ("python3", "/board/art/runner.py", "bench")
    words = " ".join(command)
    for part in ("--processes 2", "--seconds 3.0", "--threads 4", "--affinity 4,5", "--rest 0.0", "--min-samples 500"):
        assert part in words
    assert "--rehearse" not in words
    assert isinstance(judged(recording), Measurement)


def test_of_several_recordings_the_first_is_the_artifact_s_own(tmp_path: Path, document: dict[str, object]) -> None:
    other = {**document, "artifact": {**document["artifact"], "precision": "fp16"}}
    board = Board(json.dumps({"ok": True, "result": [document, other]}))
    assert measure_on_device(tmp_path, Place(board, tmp_path), Settings()).artifact.precision == "int8"


def test_this_workstation_is_a_host_whatever_its_runner_says(tmp_path: Path, document: dict[str, object]) -> None:
    board = Board(json.dumps(document), execution=Execution.HOST)
    recording = measure_on_device(tmp_path, Place(board, tmp_path), Settings())
    assert (recording.device.kind, recording.device.execution) == ("host", "host")


def test_an_emulators_recording_is_judged_a_rehearsal(document: dict[str, object]) -> None:
    document["device"]["execution"] = "emulated"
    assert isinstance(judged(recording_from_document(document, thing="it")), Rehearsal)


def test_an_emulated_cpu_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    board = Board(execution=Execution.EMULATED)
    with pytest.raises(UnsupportedError, match="cannot start the fresh processes"):
        measure_on_device(tmp_path, Place(board, tmp_path), Settings())
    assert board.asked == []


REFUSAL = json.dumps({"ok": False, "error": {"kind": "GateError", "message": "file 'a' is missing"}})


@pytest.mark.parametrize(
    ("code", "answer", "error", "message"),
    [
        (3, REFUSAL, GateError, r"`runner.py bench` on desk: file 'a' is missing"),
        (2, REFUSAL, DeviceError, r"it ended with 2: file 'a' is missing"),
        (1, "Traceback", DeviceError, "it ended with 1: a line on stderr"),
        (0, "hello", DataError, "no line with a JSON document"),
    ],
)
def test_what_goes_wrong_there_is_said_here(
    tmp_path: Path, code: int, answer: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        measure_on_device(tmp_path, Place(Board(answer, code), tmp_path), Settings())


def test_a_pair_names_the_other_artifact_there(tmp_path: Path) -> None:
    board = Board("no JSON")
    with pytest.raises(DataError, match="no JSON document: 'no JSON'"):
        measure_pair_on_device(tmp_path / "one", tmp_path / "two", Place(board, tmp_path), Settings())
    (command,) = board.asked
    assert command[2:5] == ("pair", "--against", "/board/two")


def test_outputs_are_fetched(tmp_path: Path) -> None:
    board = Board("{}")
    outputs = outputs_on_device(tmp_path / "art", np.zeros((2, 8), np.float32), Place(board, tmp_path))
    assert outputs.shape == (2, 3)
    assert board.asked[0][2:4] == ("run", "--inputs")


def test_the_time_limit_covers_every_process() -> None:
    settings = Settings(processes=3, max_seconds=10.0, rest_seconds=1.0)
    assert settings.timeout_s == 3 * (10 + 1200 + 1) + 1200
