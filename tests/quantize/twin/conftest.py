"""Every kernel's outputs on the emulated board, computed there once for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from kernel_cases import CASES

from edgedistill.devices.arm_environment import environment_state
from edgedistill.devices.emulated import EmulatedArm

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PROGRAM = """
import pathlib, sys, numpy, onnxruntime
folder = pathlib.Path(sys.argv[1])
settings = onnxruntime.SessionOptions()
settings.intra_op_num_threads, settings.log_severity_level = 1, 3
outputs = {}
for path in folder.glob("*.onnx"):
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    outputs[path.stem] = session.run(None, dict(numpy.load(path.with_suffix(".npz"))))[0]
numpy.savez(folder / "outputs", **outputs)
"""


@pytest.fixture(scope="session")
def outputs_on_the_board(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[np.generic]]:
    state = environment_state()
    if not state.ready:
        pytest.skip(f"emulated board: {state.reason}")
    board, local = EmulatedArm("cortex-a76"), tmp_path_factory.mktemp("board") / "job"
    local.mkdir()
    (local / "program.py").write_text(PROGRAM)
    for case in CASES:
        (local / f"{case.name}.onnx").write_bytes(case.model().SerializeToString())
        np.savez(local / f"{case.name}.npz", **case.feed())
    place = board.push(local)
    done = board.run(("python3", str(place / "program.py"), str(place)), timeout_s=600)
    assert done.returncode == 0, done.stderr
    into: Path = local.parent / "outputs.npz"
    board.pull(place / "outputs.npz", into)
    return dict(np.load(into))
