"""Runs small ONNX models on the emulated board, many in one process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedistill.devices.arm_environment import environment_state
from edgedistill.devices.emulated import EmulatedArm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import ModelProto

    Arrays = Mapping[str, NDArray[np.generic]]

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


def first_outputs(models: Mapping[str, tuple[ModelProto, Arrays]]) -> dict[str, NDArray[np.generic]]:
    """Return the first output of each model for its feed; skip the test where the board has not been built."""
    state = environment_state()
    if not state.ready:
        pytest.skip(f"emulated board: {state.reason}")
    board = EmulatedArm("cortex-a76")
    with tempfile.TemporaryDirectory() as local:
        folder = Path(local)
        (folder / "program.py").write_text(PROGRAM)
        for name, (model, feed) in models.items():
            (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
            np.savez(folder / f"{name}.npz", **feed)
        place = board.push(folder)
        done = board.run(("python3", str(place / "program.py"), str(place)), timeout_s=600)
        assert done.returncode == 0, done.stderr
        board.pull(place / "outputs.npz", folder / "outputs.npz")
        with np.load(folder / "outputs.npz") as found:
            return dict(found)
