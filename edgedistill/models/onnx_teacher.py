"""Teachers in an ONNX file, run by ONNX Runtime on the CPU: logits alone, no gradient.

The file is someone's: its paths, operators and sizes are looked at before anything of it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import torch

from edgedistill.errors import ModelError
from edgedistill.models.callable_teacher import AnswersOnly, logits_tensor
from edgedistill.models.onnx_files import external_files, first_line

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

INPUT_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32}


class OnnxTeacher(AnswersOnly):
    """An ONNX model as a module without parameters.

    Args:
        path: of the checked file.

    Raises:
        ModelError: ONNX Runtime cannot load it, or it has not one input and one output.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        thing = f"model '{path.name}'"
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises of every kind for what it cannot load
            raise ModelError(thing, found=f"ONNX Runtime says: {first_line(error)}") from error
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type not in INPUT_TYPES:
            given = ", ".join(f"{item.name} {item.type}" for item in (*inputs, *outputs))
            raise ModelError(
                thing,
                found=f"{len(inputs)} inputs and {len(outputs)} outputs: {given}",
                wanted="one input, float or whole numbers, and one output: logits",
                fix="cut the others off with onnx.utils.extract_model",
            )
        self._session, self._input = session, inputs[0].name
        self._dtype = INPUT_TYPES[inputs[0].type]

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (batch, *input_shape) to logits (batch, classes)."""
        values = np.ascontiguousarray(inputs.detach().numpy().astype(self._dtype, copy=False))
        (outputs,) = self._session.run(None, {self._input: values})
        return logits_tensor(outputs, thing="the ONNX model")


def teacher_from_onnx(path: Path) -> OnnxTeacher:
    """Return the model in an ONNX file, after looking at it.

    Raises:
        ModelError: it is no ONNX model that ONNX Runtime can run, or a file that it names is missing or too large.
        UnsafeFileError: it names a file outside its folder, or an operator of a library of its own.
    """
    external_files(path)
    try:
        onnx.checker.check_model(str(path))
    except Exception as error:  # the checker raises of several kinds
        raise ModelError(f"model '{path.name}'", found=f"onnx's checker says: {first_line(error)}") from error
    return OnnxTeacher(path)
