"""Runs an artifact without a phone: by our interpreter of the saved package, in two precisions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistill.evaluate.executor import Execution, Limits
from edgedistill.targets.phone_coreml.convert import EMBEDDING, IMAGE, IN_FULL, LOGITS
from edgedistill.targets.phone_coreml.interpreter import Interpreter, Precision
from edgedistill.targets.phone_coreml.saved import Reference, read_package

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import Inputs
    from edgedistill.targets.phone_coreml.saved import SavedModel

LIMITS = {
    Precision.FP32: Limits(max_steps=1.0, min_within_steps=0.999, min_top1_agreement=0.9999),
    Precision.FP16: Limits(max_steps=4.0, min_within_steps=0.999, min_top1_agreement=0.995),
}
"""An output step is 1/255 of the range of the outputs. fp16 moves a value by up to 1 part in 2,048, which changes the
code of those that lie near the middle between two; a code that changed changes others after it."""
NOTES = {
    Precision.FP32: "every operation in fp32",
    Precision.FP16: "values rounded to fp16, sums in fp32; how the Neural Engine accumulates is not known",
}


@dataclass(frozen=True)
class InterpretedPackage:
    """A saved `.mlpackage`, computed by `interpreter.Interpreter`.

    Args:
        path: of the package.
        precision: how values are held.
        batch: samples computed at once, where the model allows it.
    """

    path: Path
    precision: Precision
    batch: int = 100
    execution: Execution = Execution.INTERPRETED

    @property
    def name(self) -> str:
        """Short name."""
        return f"mlpackage-{self.precision}"

    @property
    def label(self) -> str:
        """What computed it, and how."""
        return f"saved .mlpackage read by edgedistill, {NOTES[self.precision]} (not Core ML)"

    @property
    def limits(self) -> Limits:
        """How far it may be from the executor before it."""
        return LIMITS[self.precision]

    @cached_property
    def interpreter(self) -> Interpreter:
        """The package, read."""
        return Interpreter(read_package(self.path), self.precision)

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return outputs (n, classes), float32, of preprocessed inputs (n, *input_shape)."""
        return self.run_from(normalised(self.interpreter.model), inputs)

    def run_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return outputs (n, classes), float32, of pixels (n, height, width, channels), uint8, at the model's size."""
        return self.run_from(IMAGE, pixels.transpose(0, 3, 1, 2).astype(np.float32))

    def run_from(self, name: str, values: Inputs) -> NDArray[np.float32]:
        """Return outputs (n, classes), float32, from a value (n, ...) of the package on."""
        output = LOGITS if LOGITS in self.interpreter.model.outputs else EMBEDDING
        step = self.batch if self.interpreter.batches else 1
        parts = torch.split(torch.from_numpy(np.ascontiguousarray(values)), step)
        with torch.inference_mode():
            outputs = [self.interpreter.run({name: part})[output] for part in parts]
        return torch.cat(outputs).numpy()


def normalised(model: SavedModel) -> str:
    """Return the name of the value that preprocessed inputs are: an image's after its normalisation, else the input."""
    name = model.inputs[0].name
    if name != IMAGE:
        return name
    for operation in model.operations:
        first = operation.arguments.get("x")
        if operation.kind in IN_FULL and isinstance(first, Reference) and first.name == name:
            name = operation.name
    return name
