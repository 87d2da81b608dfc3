"""Teachers that only answer: any function from inputs to logits. They have no layers, no parameters, no gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from edgedistill.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable


class AnswersOnly(nn.Module):
    """A model that only answers: it cannot be a student, and gives no features."""


class CallableTeacher(AnswersOnly):
    """A function of the user's as a module.

    Args:
        function: maps a numpy array (batch, *input_shape), float32 or int32, to logits (batch, classes): a numpy array
            or a torch tensor.
        source: as the recipe has it.
    """

    def __init__(self, function: Callable[[object], object], *, source: str) -> None:
        super().__init__()
        self._function, self._source = function, source

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (batch, *input_shape) to logits (batch, classes)."""
        return logits_tensor(self._function(inputs.detach().numpy()), thing=f"what '{self._source}' returns")


def logits_tensor(outputs: object, *, thing: str) -> Tensor:
    """Return what a function answered as a float32 tensor on the CPU.

    Raises:
        ModelError: it is neither a torch tensor nor an array of floating point.
    """
    if isinstance(outputs, Tensor):
        return outputs.detach().float().cpu()
    if isinstance(outputs, np.ndarray) and outputs.dtype.kind == "f":
        return torch.from_numpy(np.ascontiguousarray(outputs, dtype=np.float32))
    found = f"{outputs.dtype} {outputs.shape}" if isinstance(outputs, np.ndarray) else type(outputs).__name__
    raise ModelError(thing, found=found, wanted="logits (batch, classes): an array of floating point, or a tensor")
