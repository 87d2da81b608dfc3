"""Writes the artifact's folder: the network's forms, golden samples, labels, runner, manifest."""

from __future__ import annotations

import shutil
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import onnx

from edgedistill.data.inputs import model_inputs
from edgedistill.evaluate.parity import output_step
from edgedistill.export.onnx_writer import INPUT, OUTPUT
from edgedistill.targets.folder import seal
from edgedistill.targets.jetson_tensorrt.executor import LiteralExecutor, Remainder
from edgedistill.targets.jetson_tensorrt.forms import CALIBRATION_CACHE, FP16_MODEL
from edgedistill.targets.jetson_tensorrt.network import Network, multiply_accumulates
from edgedistill.targets.jetson_tensorrt.target import MODEL, uses_dla

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto

    from edgedistill.data.transfer_set import Inputs
    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.targets.base import Artifact, DeviceProfile, Issue, Package
    from edgedistill.targets.jetson_tensorrt.finding import Version
    from edgedistill.targets.jetson_tensorrt.forms import Form

GOLDEN_STEPS = 2.0  # least difference that TensorRT's own rounding is allowed
GOLDEN_FACTOR = 4.0  # of what fp16 alone moves the outputs by
# What runs on the module, as it lies in this package: the runner imports it by the same names there.
DEVICE_MODULES = (
    ("edgedistill.data", "arrays.py"),
    ("edgedistill.data", "inputs.py"),
    ("edgedistill.data", "sound.py"),
    ("edgedistill.data", "tokens.py"),
    ("edgedistill.targets.jetson_tensorrt.device", "answer.py"),
    ("edgedistill.targets.jetson_tensorrt.device", "bench.py"),
    ("edgedistill.targets.jetson_tensorrt.device", "cuda.py"),
    ("edgedistill.targets.jetson_tensorrt.device", "engine.py"),
    ("edgedistill.targets.jetson_tensorrt.device", "layers.py"),
    ("edgedistill.targets.jetson_tensorrt.device", "manifest.py"),
    ("edgedistill.targets.jetson_tensorrt.device", "module.py"),
    ("edgedistill.targets.jetson_tensorrt.device", "runner.py"),
    ("edgedistill.targets.jetson_tensorrt.device", "sensors.py"),
    ("edgedistill.targets.jetson_tensorrt.device", "store.py"),
    ("edgedistill.targets.jetson_tensorrt.device", "trtexec.py"),
)
README = """\
{name} for {title}

  python3 runner.py all > result.json   everything: verify, bench, and which of INT8 and FP16 to ship
  python3 runner.py verify              hashes, engine, golden samples, layers in INT8
  python3 runner.py bench               latency of INT8 and FP16, after verify
  python3 runner.py predict --raw SAMPLES.npy

Needs what JetPack brings (TensorRT 8.5 or newer with its Python package, CUDA) and numpy. manifest.json says what every
file is. Power mode and clocks are reported, and changed only by `--power-mode ID` and `--fix-clocks` (root).
"""
LAUNCHER = '''\
"""Starts the runner that lies beside this file."""

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # nothing joins the files that the manifest vouches for
sys.path.insert(0, str(Path(__file__).resolve().parent))

from edgedistill.targets.jetson_tensorrt.device.runner import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent))
'''


def write_artifact(
    program: QuantizedProgram,
    profile: DeviceProfile,
    *,
    forms: Sequence[Form],
    issues: Sequence[Issue],
    package: Package,
    into: Path,
) -> Artifact:
    """Write every file of the artifact; the same program and package give the same bytes."""
    into.mkdir(parents=True)
    for form in forms:
        _save(form, into)
    preprocessing = package.preprocessing.model_dump(mode="json")
    for name, content in package.assets.items():
        (into / name).write_bytes(content)
    inputs = model_inputs(package.golden_raw, preprocessing, into)
    outputs = program.run(inputs)
    half = LiteralExecutor(into / FP16_MODEL, Remainder.FP16).run(inputs)
    np.savez(into / "golden.npz", raw=package.golden_raw, inputs=inputs, outputs=outputs, outputs_fp16=half)
    (into / "labels.txt").write_text("".join(f"{name}\n" for name in package.classes), "utf-8")
    (into / "README.txt").write_text(README.format(name=package.name, title=profile.title), "utf-8")
    _write_runner(into)
    literal = LiteralExecutor(into / MODEL, Remainder.FP16).run(inputs)
    manifest = _manifest(program, profile, forms, package, inputs, outputs, literal)
    notes = [f"{issue.rule} ({issue.severity}) {issue.node}: {issue.message}; {issue.fix}" for issue in issues]
    return seal(into, {**manifest, "notes": notes})


def _save(form: Form, into: Path) -> None:
    onnx.checker.check_model(form.model, full_check=True)
    (into / form.file).write_bytes(form.model.SerializeToString(deterministic=True))
    if form.calibration:
        (into / CALIBRATION_CACHE).write_text(form.calibration, "utf-8")


def _write_runner(into: Path) -> None:
    (into / "runner.py").write_text(LAUNCHER, "utf-8")
    for package, name in DEVICE_MODULES:
        folder = into.joinpath(*package.split("."))
        folder.mkdir(parents=True, exist_ok=True)
        with resources.as_file(resources.files(package) / name) as path:
            shutil.copyfile(path, folder / name)
        while folder != into:  # packages, so that none of the same name that is installed there wins over them
            (folder / "__init__.py").touch()
            folder = folder.parent


def _manifest(
    program: QuantizedProgram,
    profile: DeviceProfile,
    forms: Sequence[Form],
    package: Package,
    inputs: Inputs,
    outputs: NDArray[np.float32],
    literal: NDArray[np.float32],
) -> dict[str, object]:
    spec, step = program.spec, output_step(outputs)
    moved = float(np.abs(literal - outputs).max()) / step if step else 0.0
    return {
        "name": package.name,
        "target": "jetson-tensorrt",
        "profile": profile.name,
        "options": dict(profile.options),
        "model": MODEL,
        "precision": "int8",
        "forms": [_described(form) for form in forms],
        "input": {"name": INPUT, "shape": [1, *inputs.shape[1:]], "dtype": str(inputs.dtype)},
        "output": {"name": OUTPUT, "shape": [1, *outputs.shape[1:]], "dtype": "float32", "step": step},
        "classes": list(package.classes),
        "preprocessing": package.preprocessing.model_dump(mode="json"),
        **package.origin,
        "task": package.task,
        "dla": uses_dla(profile),
        "expected_int8": _expected_int8(forms[0].model),
        "quantization": {
            "activations": f"{spec.activation} {spec.symmetry}",
            "weights": f"int8 symmetric {spec.weights}",
            "bias": str(spec.bias),
            "scales": str(spec.scale_format),
            "placement": str(spec.placement),
            "program": program.fingerprint,
        },
        "golden": {"n": len(inputs), "max_steps": max(GOLDEN_STEPS, GOLDEN_FACTOR * moved), "fp16_steps": moved},
    }


def _described(form: Form) -> dict[str, object]:
    return {
        "file": form.file,
        "precision": form.precision,
        "typing": form.typing,
        "opset": next(item.version for item in form.model.opset_import if item.domain == ""),
        "since_tensorrt": _text(form.since),
        "before_tensorrt": _text(form.before) if form.before else None,
        "calibration": CALIBRATION_CACHE if form.calibration else None,
    }


def _expected_int8(model: ModelProto) -> list[dict[str, object]]:
    """Return the layers that must run in INT8, with their multiply-accumulates."""
    network = Network(model)
    counts = multiply_accumulates(network)
    return [
        {"name": node.name, "operator": node.op_type, "multiply_accumulates": counts[node.output[0]]}
        for node in network.weighted
        if all(network.dequantized(name) for name in node.input[:2])
    ]


def _text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
