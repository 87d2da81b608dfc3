"""Computes a saved model as its file says, without any fusion: what TensorRT's kernels are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime

from edgedistill.errors import ModelError
from edgedistill.evaluate.executor import Execution, Limits
from edgedistill.targets.jetson_tensorrt.passes.float_remainder import type_as_float

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import Inputs


class Remainder(StrEnum):
    """In which type what is not quantized is computed.

    TensorRT fuses most of it to INT8 kernels that hand on float32 sums, and rounds to fp16 only between kernels: it
    lies between the two.
    """

    FLOAT32 = "float32"  # nothing is rounded but by Q
    FP16 = "fp16"  # every value is rounded to fp16, as the file's types say


LIMITS = {
    Remainder.FLOAT32: Limits(max_steps=1.0, min_within_steps=0.999, min_top1_agreement=0.9999),
    Remainder.FP16: Limits(max_steps=4.0, min_within_steps=0.999, min_top1_agreement=0.98),
}
"""An output step is 1/255 of the range of the outputs. fp16 moves a value by up to 1 part in 2,048, which changes the
code of those that lie near the middle between two; a code that changed changes others after it. Where two classes are
nearer than that, the larger one is a matter of rounding."""


@dataclass(frozen=True)
class LiteralExecutor:
    """An ONNX file in ONNX Runtime with every optimization off: Q and DQ are computed one by one, in float.

    It is an interpretation of the file. Neither TensorRT nor a GPU has a part in it.

    Args:
        path: the model, batch fixed; its first output is float32.
        remainder: type of what is not quantized.
    """

    path: Path
    remainder: Remainder = Remainder.FLOAT32
    execution: Execution = Execution.INTERPRETED

    @property
    def name(self) -> str:
        """Short name."""
        return f"literal-{self.remainder}"

    @property
    def limits(self) -> Limits:
        """How far it may be from the program, or from the reading before it."""
        return LIMITS[self.remainder]

    @property
    def label(self) -> str:
        """Runtime, version, and what it is not."""
        runtime = f"ONNX Runtime {onnxruntime.__version__}, optimizations off, {self.remainder} remainder"
        return f"{runtime}: what the file says, not TensorRT"

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return outputs (n, classes), float32.

        Raises:
            ModelError: the runtime refuses the file.
        """
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        model = onnx.load(self.path)
        if self.remainder is Remainder.FLOAT32:
            type_as_float(model)
        try:
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime has no exception type of its own in its public interface
            raise ModelError(f"model '{self.path.name}'", found=f"ONNX Runtime says: {error}") from error
        feed = session.get_inputs()[0]
        batch = int(feed.shape[0])
        starts = range(0, len(inputs), batch)
        return np.concatenate([session.run(None, {feed.name: inputs[start : start + batch]})[0] for start in starts])
