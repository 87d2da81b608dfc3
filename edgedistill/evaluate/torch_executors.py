"""Runs torch models: the fp32 teacher and student, and the quantized program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistill.evaluate.executor import Execution

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from edgedistill.evaluate.executor import Inputs
    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.quantize.spec import Arithmetic


@dataclass(frozen=True)
class ModuleExecutor:
    """An fp32 module in torch."""

    module: nn.Module
    batch: int = 250
    execution: Execution = Execution.SIMULATED
    name: str = "torch"

    @property
    def label(self) -> str:
        """Runtime and version."""
        return f"torch {torch.__version__}, fp32, workstation"

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return outputs (n, classes), float32; the module is left in evaluation mode."""
        self.module.eval()
        parts = torch.split(torch.from_numpy(np.ascontiguousarray(inputs)), self.batch)
        with torch.inference_mode():
            return torch.cat([self.module(part) for part in parts]).numpy()


@dataclass(frozen=True)
class ProgramExecutor:
    """A quantized program in the arithmetic of its target, or in another one."""

    program: QuantizedProgram
    arithmetic: Arithmetic | None = None
    execution: Execution = Execution.SIMULATED
    name: str = "program"

    @property
    def label(self) -> str:
        """Arithmetic, runtime and version."""
        arithmetic = self.arithmetic or self.program.spec.arithmetic
        return f"quantized program, {arithmetic} arithmetic, torch {torch.__version__}, workstation"

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return outputs (n, classes), float32."""
        return self.program.run(inputs, arithmetic=self.arithmetic)
