"""Runs an ONNX file in ONNX Runtime on this workstation."""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime

from edgedistill.errors import ModelError
from edgedistill.evaluate.executor import Execution
from edgedistill.evaluate.inspection import Inspection, expose_codes, inspection

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        session = self._session(self.path)
        feed = session.get_inputs()[0].name
        return np.concatenate([session.run(None, {feed: part})[0] for part in self._parts(inputs)])

    def inspect(self, inputs: Inputs) -> Inspection:
        """Return outputs and the codes of every quantized activation, of one call with all inputs.

        Raises:
            ModelError: the runtime refuses the file.
        """
        model = onnx.load(self.path)
        with tempfile.TemporaryDirectory() as folder:
            plain, exposed = Path(folder) / "plain.onnx", Path(folder) / "exposed.onnx"
            self._session(self.path, optimized=plain)
            session = self._session(expose_codes(model).SerializeToString(), optimized=exposed)
            feed, names = session.get_inputs()[0].name, [output.name for output in session.get_outputs()]
            outputs = dict(zip(names, session.run(None, {feed: inputs}), strict=True))
            return inspection(outputs, model, onnx.load(exposed), onnx.load(plain))

    def _parts(self, inputs: Inputs) -> list[Inputs]:
        return [inputs[start : start + self.batch] for start in range(0, len(inputs), self.batch)]

    def _session(self, model: Path | bytes, *, optimized: Path | None = None) -> onnxruntime.InferenceSession:
        """Load a model; `optimized` says where to leave it as the runtime optimized it."""
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        for key, value in self.options.items():
            settings.add_session_config_entry(key, value)
        if optimized is not None:
            settings.optimized_model_filepath = str(optimized)
        try:
            return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime has no exception type of its own in its public interface
            raise ModelError(f"model '{self.path.name}'", found=f"ONNX Runtime says: {error}") from error
