"""What a board answers becomes outputs, a failed gate, or a device that could not be used; never a silent pass."""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from small_models import images, program_of, separable

from edgedistill.devices.arm_environment import environment_state
from edgedistill.devices.base import Completed, DeviceFacts
from edgedistill.devices.emulated import EmulatedArm
from edgedistill.errors import DeviceError, GateError
from edgedistill.evaluate.bisect import bisect
from edgedistill.evaluate.executor import Execution
from edgedistill.export.onnx_writer import onnx_from_program
from edgedistill.targets.arm_onnxruntime.board import BoardExecutor
from edgedistill.targets.base import Artifact

OUTPUTS = np.array([[1.0, 2.0]], np.float32)


class FakeBoard:
    """A device whose runner ends with a given code."""

    name = "fake"

    def __init__(self, *, verify_code: int = 0, run_code: int = 0, job_code: int = 0) -> None:
        self.codes = {"verify": verify_code, "run": run_code}
        self.job_code = job_code
        self.asked: list[str] = []

    def describe(self) -> DeviceFacts:
        return DeviceFacts("fake", "aarch64", Execution.EMULATED, {"onnxruntime": "1.32.0"})

    def push(self, folder: Path) -> PurePosixPath:
        return PurePosixPath("/board") / folder.name

    def run(self, command: Sequence[str], *, timeout_s: float) -> Completed:
        assert timeout_s > 0
        if command[2] not in self.codes:
            return Completed(self.job_code, "", "")
        self.asked.append(command[2])
        return Completed(self.codes[command[2]], json.dumps({"ok": not self.codes[command[2]]}), "")

    def pull(self, path: PurePosixPath, into: Path) -> None:
        assert path.name == "outputs.npy"
        np.save(into, OUTPUTS)


def executor(board: FakeBoard, folder: Path) -> BoardExecutor:
    artifact = Artifact(folder, "arm-onnxruntime", "raspberry-pi-4", "model.onnx", ())
    return BoardExecutor(artifact, Execution.EMULATED, lambda: board)


def test_the_artifact_is_verified_before_it_is_run(tmp_path: Path) -> None:
    board = FakeBoard()
    outputs = executor(board, tmp_path).run(np.zeros((1, 3), np.float32))
    np.testing.assert_array_equal(outputs, OUTPUTS)
    assert board.asked == ["verify", "run"]


def test_the_label_says_that_it_is_emulated(tmp_path: Path) -> None:
    assert executor(FakeBoard(), tmp_path).label == "ONNX Runtime 1.32.0, aarch64, emulated (fake)"


def test_golden_samples_that_differ_are_a_failed_gate(tmp_path: Path) -> None:
    board = FakeBoard(verify_code=3)
    with pytest.raises(GateError, match="artifact on fake"):
        executor(board, tmp_path).run(np.zeros((1, 3), np.float32))
    assert board.asked == ["verify"]


def test_any_other_end_is_the_device_s(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="ended with 1"):
        executor(FakeBoard(run_code=1), tmp_path).run(np.zeros((1, 3), np.float32))


def test_the_codes_of_the_emulated_board_are_the_program_s(tmp_path: Path) -> None:
    state = environment_state()
    if not state.ready:
        pytest.skip(f"emulated board: {state.reason}")
    program, inputs = program_of(separable(), images(64)), images(8, seed=5).numpy()
    onnx_from_program(program, tmp_path / "model.onnx")
    artifact = Artifact(tmp_path, "arm-onnxruntime", "raspberry-pi-4", "model.onnx", ())
    board = BoardExecutor(artifact, Execution.EMULATED, EmulatedArm)
    result = bisect(program, board.inspect(inputs), inputs)
    assert (result.first, result.missing, result.same_kernels, result.outputs_equal) == (None, (), True, True)
    assert len(result.equal) == sum(tensor.codes is None for tensor in program.tensors().values())


def test_an_inspection_that_fails_on_the_board_is_the_device_s(tmp_path: Path) -> None:
    onnx_from_program(program_of(separable(), images(8)), tmp_path / "model.onnx")
    with pytest.raises(DeviceError, match="ended with 1"):
        executor(FakeBoard(job_code=1), tmp_path).inspect(np.zeros((1, 1, 16, 16), np.float32))
