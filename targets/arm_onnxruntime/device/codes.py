"""Runs a model on the board and keeps every output. Needs Python 3.8 or newer, numpy and onnxruntime.

    python3 codes.py FOLDER

FOLDER holds inputs.npy, model.onnx and exposed.onnx, the same model with more outputs. Written there: outputs.npz, the
outputs of exposed.onnx by name, and both models as the runtime optimized them, optimized-NAME.onnx.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime


def session_of(folder: Path, name: str) -> onnxruntime.InferenceSession:
    """Load one of the two models and leave it as the runtime optimized it."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    settings.optimized_model_filepath = str(folder / f"optimized-{name}.onnx")
    return onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), settings, providers=["CPUExecutionProvider"])


def main(folder: Path) -> None:
    """Write the outputs of all inputs."""
    inputs = np.load(str(folder / "inputs.npy"), allow_pickle=False)
    session_of(folder, "model")
    session = session_of(folder, "exposed")
    feed = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]
    # one call: the batch need not be the first axis of every tensor, so parts could not be put together again
    outputs = dict(zip(names, session.run(names, {feed: inputs})))  # noqa: B905 - Python 3.8 has no strict zip
    np.savez(str(folder / "outputs.npz"), **outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
