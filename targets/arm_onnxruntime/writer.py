"""Writes the artifact's folder: model, golden samples, labels, runner, manifest."""

from __future__ import annotations

import shutil
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.inputs import model_inputs
from edgedistill.data.tokenizers import ASSET
from edgedistill.data.tokens import tokenizer_from_text
from edgedistill.evaluate.parity import output_step
from edgedistill.export.onnx_writer import INPUT, OPSET, OUTPUT, onnx_from_program
from edgedistill.export.passes.float_products import keep_products_in_float
from edgedistill.quantize.spec import Arithmetic
from edgedistill.targets.arm_onnxruntime.android import NOTE, AndroidModule
from edgedistill.targets.arm_onnxruntime.target import MODEL, OPTIONS_BY_MACHINE, README
from edgedistill.targets.folder import seal

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import Inputs
    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.targets.base import Artifact, DeviceProfile, Package

GOLDEN_STEPS = 1.0

PREPROCESSING = {"text": "tokens.py", "audio": "sound.py"}
"""The program that makes model inputs on the board, by kind of preprocessing; of all others `arrays.py`."""


def write_artifact(
    program: QuantizedProgram, profile: DeviceProfile, *, package: Package, into: Path, target: str
) -> Artifact:
    """Write every file of the artifact; the same program and package give the same bytes."""
    into.mkdir(parents=True)
    onnx_from_program(program, into / MODEL, passes=(keep_products_in_float,))
    preprocessing = package.preprocessing.model_dump(mode="json")
    for name, content in package.assets.items():
        (into / name).write_bytes(content)
    inputs = model_inputs(package.golden_raw, preprocessing, into)
    outputs = program.run(inputs, arithmetic=Arithmetic.INTEGER)
    np.savez(into / "golden.npz", raw=package.golden_raw, inputs=inputs, outputs=outputs)
    (into / "labels.txt").write_text("".join(f"{name}\n" for name in package.classes), "utf-8")
    (into / "README.txt").write_text(README.format(name=package.name, title=profile.title), "utf-8")
    _copy_runner(into, preprocessing=PREPROCESSING.get(package.preprocessing.kind, "arrays.py"))
    manifest = _manifest(program, profile, package, inputs, outputs, target=target)
    if profile.facts.get("android_module"):
        AndroidModule(package.name, into, MODEL).write(manifest, package, inputs, outputs)
        manifest["notes"] = [NOTE]
    return seal(into, manifest)


def _copy_runner(into: Path, *, preprocessing: str) -> None:
    for package, name in (
        ("edgedistill.targets.arm_onnxruntime.device", "answers.py"),
        ("edgedistill.targets.arm_onnxruntime.device", "runner.py"),
        ("edgedistill.targets.arm_onnxruntime.device", "timing.py"),
        ("edgedistill.bench", "measuring.py"),
        ("edgedistill.bench", "sensors.py"),
        ("edgedistill.data", preprocessing),
    ):
        with resources.as_file(resources.files(package) / name) as path:
            shutil.copyfile(path, into / name)


def _manifest(
    program: QuantizedProgram,
    profile: DeviceProfile,
    package: Package,
    inputs: Inputs,
    outputs: NDArray[np.float32],
    *,
    target: str,
) -> dict[str, object]:
    spec = program.spec
    tokenizer = package.assets.get(ASSET)
    engine = "" if tokenizer is None else tokenizer_from_text(tokenizer.decode()).engine
    return {
        "name": package.name,
        "target": target,
        "profile": profile.name,
        "model": MODEL,
        "precision": "int8",
        "opset": OPSET,
        "input": {"name": INPUT, "shape": [None, *inputs.shape[1:]], "dtype": str(inputs.dtype)},
        "output": {
            "name": OUTPUT,
            "shape": [None, *outputs.shape[1:]],
            "dtype": "float32",
            "step": output_step(outputs),
        },
        "task": package.task,
        "classes": list(package.classes),
        "preprocessing": package.preprocessing.model_dump(mode="json"),
        **package.origin,
        "needs": ["numpy", "onnxruntime", *(["tokenizers"] if engine == "tokenizers" else [])],
        "session_options": {},
        "session_options_by_machine": OPTIONS_BY_MACHINE,
        "quantization": {
            "activations": f"{spec.activation} {spec.symmetry}",
            "weights": f"int8 symmetric {spec.weights}",
            "bias": str(spec.bias),
            "scales": str(spec.scale_format),
            "program": program.fingerprint,
        },
        "golden": {"n": len(inputs), "max_steps": GOLDEN_STEPS},
    }
