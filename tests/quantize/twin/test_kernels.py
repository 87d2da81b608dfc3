"""Every rule of the twin against ONNX Runtime's kernel, on this workstation and on an emulated ARM CPU."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from kernel_cases import CASES, Case

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_on_this_workstation(case: Case, tmp_path: Path) -> None:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    if platform.machine() == "x86_64":
        settings.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(
        case.model().SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    kernels = {node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node}
    assert kernels - {"Transpose"} == {case.kernel}
    np.testing.assert_array_equal(case.twin(), session.run(None, case.feed())[0], strict=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_on_an_emulated_arm_board(case: Case, outputs_on_the_board: dict[str, NDArray[np.generic]]) -> None:
    np.testing.assert_array_equal(case.twin(), outputs_on_the_board[case.name], strict=True)
