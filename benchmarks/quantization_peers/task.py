"""What every peer's script starts from. Needs numpy; torch only for `student`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Task:
    """One student, and where to put what becomes of it.

    Args:
        folder: holds `student.pt`, `student.onnx`, `calibration.npy`, `test.npy`.
        family: class of the student in edgedistill.models, and its options.
        options: keyword arguments of the class.
        into: the ONNX file to write.
        simulation: the `.npy` file for what the peer's own simulation answers on the test images.
    """

    folder: Path
    family: str
    options: dict[str, object]
    into: Path
    simulation: Path

    @property
    def calibration(self) -> np.ndarray:
        """Calibration images, preprocessed: (n, channels, height, width), float32."""
        return np.load(self.folder / "calibration.npy")

    @property
    def test(self) -> np.ndarray:
        """Test images, as `calibration`."""
        return np.load(self.folder / "test.npy")

    def student(self) -> nn.Module:
        """Return the trained student, in evaluation mode."""
        import torch  # noqa: PLC0415 - not every peer has it

        from edgedistill.models.residual import ResidualNet  # noqa: PLC0415 - as above
        from edgedistill.models.separable import SeparableNet  # noqa: PLC0415 - as above

        kinds = {"residual": ResidualNet, "separable": SeparableNet}
        model = kinds[self.family](**self.options)
        model.load_state_dict(torch.load(self.folder / "student.pt", weights_only=True))
        return model.eval()


def task() -> Task:
    """Return the task that the first argument names."""
    values = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    return Task(
        Path(values["folder"]), values["family"], values["options"], Path(values["into"]), Path(values["simulation"])
    )


def simulate(model: nn.Module, given: Task, *, batch: int = 250) -> None:
    """Write what a torch model answers on the test images."""
    import torch  # noqa: PLC0415 - as above

    with torch.no_grad():
        parts = [model(part).numpy() for part in torch.from_numpy(given.test).split(batch)]
    np.save(given.simulation, np.concatenate(parts))
