"""Core ML packages: what is carried, what is computed, and what coremltools' defaults would have made of it.

Usage: python benchmarks/coreml_packages.py MODEL... [--run RUN] [--recipe FILE] [--samples N]

MODEL is `demo` (the student of a finished run, on all its test images) or a model of the zoo (on random inputs, which
say nothing of accuracy). Each is calibrated, not fine-tuned, built for iOS 17 and iOS 18, read back, and computed by
the interpreter of the saved package; nothing here runs Core ML. For the defaults, the same model is quantized with
scales and biases of fp32 and converted with every pass of coremltools. Writes benchmarks/results/coreml_packages.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import torch
from zoo import ZOO, inputs, model

from edgedistill.data.preprocessing import ArrayPreprocessing, TextPreprocessing
from edgedistill.evaluate.parity import parity
from edgedistill.quantize.annotate import activation_quantizers, annotate
from edgedistill.quantize.calibrate import CalibrationSet, calibrate
from edgedistill.quantize.capture import capture
from edgedistill.quantize.convert import convert
from edgedistill.quantize.fake import Mode
from edgedistill.quantize.spec import BiasType, QuantSpec, ScaleFormat
from edgedistill.quantize.ties import avoid_ties
from edgedistill.targets.base import Package
from edgedistill.targets.phone_coreml import convert as coreml
from edgedistill.targets.phone_coreml.deployment import Deployment
from edgedistill.targets.phone_coreml.executors import InterpretedPackage
from edgedistill.targets.phone_coreml.interpreter import Precision
from edgedistill.targets.phone_coreml.package import write_package
from edgedistill.targets.phone_coreml.read_back import biases, quantized_tensors
from edgedistill.targets.phone_coreml.saved import package_bytes, read_package
from edgedistill.targets.phone_coreml.vendor import coremltools, quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from edgedistill.quantize.program import QuantizedProgram

ROOT = Path(__file__).parents[1]
OURS = QuantSpec(bias=BiasType.FP16)
DEFAULTS = QuantSpec(bias=BiasType.FLOAT, scale_format=ScaleFormat.FP32)
CALIBRATION_INPUTS = 16


@dataclass(frozen=True)
class Case:
    """One model, what to show it, and how it is quantized.

    Args:
        module: in fp32.
        package: what its artifact carries.
        values: inputs, (n, ...).
        labels: (n,), or none where the inputs are random.
        quantized: gives its program for a spec.
    """

    module: nn.Module
    package: Package
    values: NDArray[np.float32] | NDArray[np.int32]
    labels: NDArray[np.int64] | None
    quantized: Callable[[QuantSpec], QuantizedProgram]


def zoo_case(name: str, samples: int) -> Case:
    """Return a model of the zoo."""
    entry, module = ZOO[name], model(name)
    values = inputs(name, samples)
    values = values.to(torch.int32) if entry.tokens else values
    with torch.no_grad():
        outputs = module(values[:2])
    task = "classification" if outputs.ndim == 2 and not entry.tokens else "embedding"  # noqa: PLR2004 - samples and classes
    classes = tuple(f"class {index}" for index in range(outputs.shape[1])) if task == "classification" else ()
    text = TextPreprocessing(tokenizer="none", max_length=entry.shape[0]) if entry.tokens else None
    package = Package(name, classes, text or ArrayPreprocessing(shape=entry.shape), values[:4].numpy(), task=task)
    return Case(module, package, values.numpy(), None, lambda spec: calibrated(module, values, spec))


def calibrated(module: nn.Module, values: torch.Tensor, spec: QuantSpec) -> QuantizedProgram:
    """Return the program with min-max ranges over the first inputs."""
    graph = annotate(capture(module, values[:2]), spec)
    quantizers = activation_quantizers(graph).values()
    for quantizer in quantizers:
        quantizer.mode = Mode.OBSERVE
    with torch.no_grad():
        graph(values[:CALIBRATION_INPUTS])
    for quantizer in quantizers:
        quantizer.set_range(quantizer.histogram.minimum, quantizer.histogram.maximum)
        quantizer.mode = Mode.QUANTIZE
    avoid_ties(graph)
    return convert(graph, spec, values[:2])


def demo_case(recipe: Path, run: Path) -> Case:
    """Return the student of a finished run."""
    from edgedistill.progress import SILENT  # noqa: PLC0415 - only for this case
    from edgedistill.run.context import Context  # noqa: PLC0415 - as above
    from edgedistill.run.directory import RunDirectory  # noqa: PLC0415 - as above
    from edgedistill.run.pipeline import plan  # noqa: PLC0415 - as above

    planned = plan(recipe, folder=run)
    context = Context(planned.recipe, planned.recipe_folder, RunDirectory(run), planned.keys, SILENT)
    samples = CalibrationSet(context.transfer_set, planned.recipe.quantize.calibration, seed=planned.recipe.seed)
    student = context.trained_student()

    def quantized(spec: QuantSpec) -> QuantizedProgram:
        graph = annotate(capture(student, samples.example()), spec)
        calibrate(graph, samples)
        return convert(graph, spec, samples.example())

    values = context.evaluation_set.plain(np.arange(len(context.test))).inputs
    preprocessing = planned.recipe.data.preprocessing
    package = Package("demo", context.test.classes, preprocessing, np.asarray(context.test.raw[:4]))
    return Case(student, package, values, context.test.labels, quantized)


def measured(case: Case) -> dict[str, object]:
    """Return everything about one model."""
    with torch.no_grad():
        parts = torch.split(torch.from_numpy(case.values), 50)
        floats = torch.cat([case.module(part) for part in parts]).numpy()
    ours, theirs = case.quantized(OURS), case.quantized(DEFAULTS)
    return {
        "n": len(case.values),
        "inputs": "test images" if case.labels is not None else "random",
        "parameters": sum(item.numel() for item in case.module.parameters()),
        "bytes": {**float_bytes(case)},
        "fp32_accuracy": accuracy(floats, case.labels),
        "program": against(floats, ours.run(case.values), case.labels),
        "ours": {str(item): built(case, ours, item) for item in (Deployment.IOS17, Deployment.IOS18)},
        "defaults": defaults(case, theirs),
    }


def float_bytes(case: Case) -> dict[str, int]:
    """Return the sizes of plain packages of the fp32 model."""
    ct = coremltools()
    dtype = np.dtype(coreml.input_of(case.package.preprocessing)[1]).type
    found = {}
    for name in ("FLOAT32", "FLOAT16"):
        example = torch.from_numpy(case.values[:1])
        with quiet(), tempfile.TemporaryDirectory() as folder:
            exported = torch.export.export(case.module, (example,)).run_decompositions({})
            kind = ct.TensorType(name="x", shape=tuple(example.shape), dtype=dtype)
            made = ct.convert(
                exported,
                inputs=[kind],
                minimum_deployment_target=ct.target.iOS17,
                compute_precision=getattr(ct.precision, name),
            )
            package = Path(folder) / "m.mlpackage"
            write_package(coreml.Converted(made.get_spec(), Path(made.weights_dir)), package, metadata={})
            found[name] = package_bytes(package)
    return found


def built(case: Case, program: QuantizedProgram, deployment: Deployment) -> dict[str, object]:
    """Return how a package of ours was made, what stands in it, and what it computes."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "m.mlpackage"
        start = time.process_time()
        write_package(
            coreml.model_from_program(program, deployment=deployment, package=case.package), package, metadata={}
        )
        seconds = time.process_time() - start
        saved = read_package(package)
        return {
            "bytes": package_bytes(package),
            "conversion_cpu_seconds": seconds,
            **carried(program, package),
            "biases_stored": len(biases(saved)),
            "operations": sorted({item.kind for item in saved.operations}),
            **computed(case, program, package),
        }


def carried(program: QuantizedProgram, package: Path) -> dict[str, object]:
    """Return how many codes, scales and zero points of a program stand in a package, bit for bit."""
    read = quantized_tensors(read_package(package))
    stored = program.tensors()
    weights = {name: item for name, item in stored.items() if item.codes is not None}
    return {
        "tensors": len(stored),
        "scales_equal": sum(name in read and same(read[name].scale, item.scale) for name, item in stored.items()),
        "zero_points_equal": sum(
            name in read and same(read[name].zero_point, item.zero_point) for name, item in stored.items()
        ),
        "weights": len(weights),
        "weights_equal": sum(
            name in read and read[name].codes is not None and same(read[name].codes, item.codes)
            for name, item in weights.items()
        ),
    }


def same(found: NDArray[np.generic] | None, wanted: torch.Tensor | None) -> bool:
    """Tell whether two arrays are equal bit for bit, types included."""
    if found is None or wanted is None:
        return found is wanted
    return found.dtype == wanted.numpy().dtype and np.array_equal(found, wanted.numpy())


def computed(case: Case, program: QuantizedProgram, package: Path) -> dict[str, object]:
    """Return how far the interpreted package and the program agree, in each precision."""
    reference = program.run(case.values)
    return {
        str(precision): against(reference, InterpretedPackage(package, precision).run(case.values), case.labels)
        for precision in Precision
    }


def against(
    reference: NDArray[np.float32], outputs: NDArray[np.float32], labels: NDArray[np.int64] | None
) -> dict[str, object]:
    """Return how far outputs agree with a reference."""
    flat, other = (item.reshape(len(item), -1) for item in (reference, outputs))
    found = parity(flat, other, max_steps=1.0)
    noise = float(((flat - other).astype(np.float64) ** 2).sum())
    return {
        "top1_agreement": found.top1_agreement,
        "within_one_step": found.within_steps,
        "within_four_steps": parity(flat, other, max_steps=4.0).within_steps,
        "largest_steps": found.largest_steps,
        "identical_outputs": found.identical_outputs,
        "sqnr_db": 10 * float(np.log10((flat.astype(np.float64) ** 2).sum() / noise)) if noise else None,
        "accuracy": accuracy(outputs, labels),
    }


def accuracy(outputs: NDArray[np.float32], labels: NDArray[np.int64] | None) -> float | None:
    """Return the share of right answers, none without labels."""
    return None if labels is None else float((outputs.argmax(1) == labels).mean())


def defaults(case: Case, program: QuantizedProgram) -> dict[str, object]:
    """Return the same for fp32 scales and every pass of coremltools: what a package holds, and what it computes."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(coreml, "LEFT_OUT", ()):
        package = Path(folder) / "m.mlpackage"
        made = coreml.model_from_program(program, deployment=Deployment.IOS17, package=case.package)
        write_package(made, package, metadata={})
        return {"bytes": package_bytes(package), **carried(program, package), **computed(case, program, package)}


def row(name: str, found: dict[str, object]) -> str:
    """Return one line of the table."""
    ours, theirs = found["ours"]["iOS17"], found["defaults"]  # type: ignore[index] # as measured() writes it
    return (
        f"{name:20s} {ours['bytes']:>11,} B  carried {ours['scales_equal']}/{ours['tensors']}"
        f"  fp32 top-1 {ours['fp32']['top1_agreement']:.4f} steps {ours['fp32']['largest_steps']:.2f}"
        f"  fp16 {ours['fp16']['top1_agreement']:.4f} {ours['fp16']['largest_steps']:.2f}"
        f"  | defaults carried {theirs['scales_equal']}/{theirs['tensors']}"
        f"  fp16 {theirs['fp16']['top1_agreement']:.4f} {theirs['fp16']['largest_steps']:.2f}"
    )


def main() -> None:
    """Measure the models, print a table, add them to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", choices=["demo", *ZOO])
    parser.add_argument("--run", type=Path, default=Path("runs/fashion-mnist"))
    parser.add_argument("--recipe", type=Path, default=ROOT / "examples/fashion_mnist.yaml")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/coreml_packages.json")
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    results = json.loads(args.out.read_text("utf-8")) if args.out.exists() else {"models": {}}
    for name in args.models:
        case = demo_case(args.recipe, args.run) if name == "demo" else zoo_case(name, args.samples)
        results["models"][name] = measured(case)
        results["versions"] = {item: version(item) for item in ("coremltools", "torch", "numpy", "edgedistill")}
        results["python"] = sys.version.split()[0]
        args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        print(row(name, results["models"][name]), flush=True)


if __name__ == "__main__":
    main()
