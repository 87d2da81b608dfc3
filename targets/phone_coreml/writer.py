"""Writes the artifact's folder: the model inside its Swift package, golden samples, labels, manifest."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistill.data.inputs import model_inputs
from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.errors import GateError
from edgedistill.evaluate.parity import output_step
from edgedistill.quantize.graph import attribute
from edgedistill.quantize.patterns import Role, role_of
from edgedistill.targets.app_files import as_an_app_gives_them
from edgedistill.targets.folder import seal
from edgedistill.targets.phone_coreml import core_ai
from edgedistill.targets.phone_coreml.convert import IMAGE, OUTPUTS, input_of, model_from_program
from edgedistill.targets.phone_coreml.deployment import deployment_of
from edgedistill.targets.phone_coreml.executors import LIMITS, InterpretedPackage, normalised
from edgedistill.targets.phone_coreml.interpreter import Precision
from edgedistill.targets.phone_coreml.package import write_package
from edgedistill.targets.phone_coreml.read_back import biases
from edgedistill.targets.phone_coreml.saved import package_bytes, read_package
from edgedistill.targets.phone_coreml.swift import SwiftPackage, module_name, package_hash
from edgedistill.targets.phone_coreml.target import with_core_ai

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import Inputs
    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.targets.base import Artifact, DeviceProfile, Package

README = """\
{name} for {title}

{module}/                a Swift package; add it to an app in Xcode (File > Add Package Dependencies > Add Local)
{model}
                         the Core ML model in it, which can be used alone as well
golden.npz, labels.txt   samples with their outputs, and the class names
manifest.json            says what every file is

On a Mac with the device connected:
  cd {module} && xcodebuild test -project DeviceTests/DeviceTests.xcodeproj -scheme DeviceTests \\
    -destination 'platform=iOS,id=DEVICE' -allowProvisioningUpdates DEVELOPMENT_TEAM=TEAM
checks the golden samples on the device and measures latency. {module}/README.md says more.
"""
NOTES = (
    "Swift sources: their templates were compiled by Swift 6.0.3 against stand-ins for Apple's modules; not by Xcode",
    "the model was interpreted, not run by Core ML",
)


def write_artifact(
    program: QuantizedProgram, profile: DeviceProfile, *, package: Package, into: Path, target: str
) -> Artifact:
    """Write every file of the artifact; the same program and package give the same bytes.

    Raises:
        GateError: the normalisation in the model is not that of the workstation.
    """
    into.mkdir(parents=True)
    for name, content in package.assets.items():
        (into / name).write_bytes(content)
    inputs = model_inputs(package.golden_raw, package.preprocessing.model_dump(mode="json"), into)
    outputs = program.run(inputs)
    swift = SwiftPackage(module_name(package.name), into)
    card = {"target": target, "profile": profile.name, **_card(program, profile, package, outputs)}
    swift.model.parent.mkdir(parents=True)
    deployment = deployment_of(profile)
    write_package(
        model_from_program(program, deployment=deployment, package=package),
        swift.model,
        metadata=_metadata(package, program, card),
    )
    raw = as_an_app_gives_them(package, inputs)
    _check_biases(program, swift.model)
    _check_normalisation(swift.model, raw, inputs)
    card |= {"model_sha256": package_hash(swift.model), "model_size_bytes": package_bytes(swift.model)}
    swift.write(card, raw=raw, outputs=outputs, title=profile.title, deployment=deployment)
    np.savez(into / "golden.npz", raw=package.golden_raw, inputs=inputs, outputs=outputs)
    (into / "labels.txt").write_text("".join(f"{name}\n" for name in package.classes), "utf-8")
    model = swift.model.relative_to(into).as_posix()
    readme = README.format(name=package.name, title=profile.title, module=swift.module, model=model)
    (into / "README.txt").write_text(readme, "utf-8")
    notes = [*NOTES, *_second_form(program, profile, inputs, into)]
    return seal(into, {**card, "model": model, "notes": notes})


def _second_form(program: QuantizedProgram, profile: DeviceProfile, inputs: Inputs, into: Path) -> Iterator[str]:
    """Write the program for Core AI where the recipe asks for it, and yield what came of that."""
    if not with_core_ai(profile):
        return
    reason = core_ai.emit(program, torch.from_numpy(inputs[:1]), into / core_ai.MODEL)
    said = (
        f"no {core_ai.MODEL}: {reason}" if reason else f"the same program as {core_ai.MODEL}, a beta format of iOS 27"
    )
    yield f"Core AI: {said}"


def _check_biases(program: QuantizedProgram, model: Path) -> None:
    """Compare every bias of the saved package with the program's, bit for bit; they have no codes to be read back."""
    graph, stored = program.graph, biases(read_package(model))
    for node in graph.graph.nodes:
        if role_of(node) is not Role.WEIGHTED or len(node.args) < 3 or node.args[2] is None:  # noqa: PLR2004 - input, weight, bias
            continue
        name = node.args[1].name
        wanted = attribute(graph, node.args[2]).detach().numpy().astype(np.float16)
        if name in program.tensors() and not np.array_equal(stored.get(name, np.empty(0)), wanted):
            raise GateError(f"bias of '{node.name}'", found="the saved package holds other numbers than the program")


def _check_normalisation(model: Path, pixels: NDArray[np.generic], inputs: Inputs) -> None:
    """Compute what the model makes of pixels, and compare it with what the workstation does, bit for bit."""
    if pixels.dtype != np.uint8:
        return
    package = InterpretedPackage(model, Precision.FP32)
    name = normalised(package.interpreter.model)
    found = package.run_from(IMAGE, pixels.transpose(0, 3, 1, 2).astype(np.float32))
    wanted = package.run_from(name, inputs)
    if not np.array_equal(found, wanted):
        raise GateError("normalisation in the model", found="golden images give other outputs than preprocessed ones")


def _card(
    program: QuantizedProgram, profile: DeviceProfile, package: Package, outputs: NDArray[np.float32]
) -> dict[str, object]:
    """Return what the app needs to know of the model; part of the manifest and of the Swift package."""
    spec, limits = program.spec, LIMITS[Precision.FP16]
    name, dtype = input_of(package.preprocessing)
    return {
        "name": package.name,
        "task": package.task,
        "precision": "int8",
        "deployment": str(deployment_of(profile)),
        "input": {
            "name": name,
            "shape": [1, *package.preprocessing.input_shape],
            "dtype": dtype,
        },
        "output": {
            "name": OUTPUTS[package.task][0],
            "shape": [1, *outputs.shape[1:]],
            "dtype": "float32",
            "step": output_step(outputs),
        },
        "classes": list(package.classes),
        "preprocessing": package.preprocessing.model_dump(mode="json"),
        **package.origin,
        "quantization": {
            "activations": f"{spec.activation} {spec.symmetry}",
            "weights": f"int8 symmetric {spec.weights}",
            "bias": str(spec.bias),
            "scales": str(spec.scale_format),
            "program": program.fingerprint,
        },
        "golden": {"n": len(outputs), "max_steps": limits.max_steps},
    }


def _metadata(package: Package, program: QuantizedProgram, card: dict[str, object]) -> dict[str, str]:
    about = package.about
    text = json.dumps(card, sort_keys=True)
    return {
        "author": about.author,
        "license": about.license,
        "version": about.version,
        "description": about.description or f"{package.name}: {package.task}, INT8",
        **_preview(package),
        "edgedistill.version": version("edgedistill"),
        "edgedistill.program": program.fingerprint,
        "edgedistill.card.sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def _preview(package: Package) -> dict[str, str]:
    """Return what makes Xcode show a preview, for images only."""
    image = isinstance(package.preprocessing, ImagePreprocessing)
    return {"com.apple.coreml.model.preview.type": "imageClassifier"} if image else {}
