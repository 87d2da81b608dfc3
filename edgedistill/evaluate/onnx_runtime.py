"""Runs an ONNX file in ONNX Runtime on this workstation."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from edgedistill.errors import ModelError
from edgedistill.evaluate.executor import Execution

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.evaluate.executor import Inputs


class OnnxRuntimeExecutor:
    """An ONNX file in ONNX Runtime's CPU provider, all optimizations on.

    Args:
        path: the model; its first input takes (batch, ...), its first output is (batch, classes).
        options: session configuration entries, part of the label because they change results.
        batch: samples of one call; does not change results of integer models.
    """

    execution = Execution.HOST

    def __init__(self, path: Path, *, options: Mapping[str, str] | None = None, batch: int = 100) -> None:
        self.path, self.options, self.batch = path, dict(options or {}), batch

    @property
    def name(self) -> str:
        """Short name."""
        return f"onnxruntime-{platform.machine()}"

    @property
    def label(self) -> str:
        """Runtime, version, options, machine."""
        options = "".join(f", {key}={value}" for key, value in sorted(self.options.items()))
        return f"ONNX Runtime {onnxruntime.__version__}, {platform.machine()} workstation{options}"

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return outputs (n, classes), float32.

        Raises:
            ModelError: the runtime refuses the file.
        """
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        for key, value in self.options.items():
            settings.add_session_config_entry(key, value)
        try:
            session = onnxruntime.InferenceSession(self.path, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime has no exception type of its own in its public interface
            raise ModelError(f"model '{self.path.name}'", found=f"ONNX Runtime says: {error}") from error
        feed = session.get_inputs()[0].name
        parts = [inputs[start : start + self.batch] for start in range(0, len(inputs), self.batch)]
        return np.concatenate([session.run(None, {feed: part})[0] for part in parts])
