"""Core ML packages: what is carried, what is computed, and what coremltools' defaults would have made of it.

Usage: python benchmarks/coreml_packages.py MODEL... [--run RUN] [--recipe FILE] [--samples N] [--weights FOLDER]

MODEL is `demo` (the student of a finished run, on all its test images) or a model of the zoo, on what `zoo/shown.py`
shows it: crops of photographs, tweets, or noise where its weights are random. Each is calibrated, not fine-tuned, built
twice for iOS 17 and iOS 18, read back, and computed by the interpreter of the saved package; nothing here runs Core ML.
For the defaults, the same model is quantized with scales and biases of fp32 and converted with every pass of
coremltools. Writes benchmarks/results/coreml_packages.json.
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
from zoo import ZOO, model
from zoo.shown import agreement, calibrated_program, in_float, shown

from edgedistill.data.preprocessing import ArrayPreprocessing, TextPreprocessing
from edgedistill.quantize.annotate import annotate
from edgedistill.quantize.calibrate import CalibrationSet, calibrate
from edgedistill.quantize.capture import capture
from edgedistill.quantize.convert import convert
from edgedistill.quantize.spec import BiasType, QuantSpec, ScaleFormat
from edgedistill.targets.base import Package
from edgedistill.targets.phone_coreml import convert as coreml
from edgedistill.targets.phone_coreml import core_ai
from edgedistill.targets.phone_coreml.deployment import Deployment
from edgedistill.targets.phone_coreml.executors import InterpretedPackage
from edgedistill.targets.phone_coreml.interpreter import Precision
from edgedistill.targets.phone_coreml.package import write_package
from edgedistill.targets.phone_coreml.read_back import biases, quantized_tensors
from edgedistill.targets.phone_coreml.saved import package_bytes, read_package
from edgedistill.targets.phone_coreml.swift import package_hash
from edgedistill.targets.phone_coreml.vendor import coremltools, quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from edgedistill.quantize.program import QuantizedProgram

ROOT = Path(__file__).parents[1]
OURS = QuantSpec(bias=BiasType.FP16)
DEFAULTS = QuantSpec(bias=BiasType.FLOAT, scale_format=ScaleFormat.FP32)


@dataclass(frozen=True)
class Case:
    """One model, what to show it, and how it is quantized.

    Args:
        module: in fp32.
        package: what its artifact carries.
        values: inputs, (n, ...).
        labels: (n,), or none where they are not known.
        title: what the values are.
        weights: where the model's weights come from.
        quantized: gives its program for a spec.
        at_once: samples that program and interpreter compute together. torch sums in another order for another number
            of them, which a network of fifty quantized layers amplifies; one by one is five times faster at 224 x 224,
            because larger values are fresh memory from the system each time.
    """

    module: nn.Module
    package: Package
    values: NDArray[np.float32] | NDArray[np.int32]
    labels: NDArray[np.int64] | None
    title: str
    weights: str
    quantized: Callable[[QuantSpec], QuantizedProgram]
    at_once: int = 1


def zoo_case(name: str, arguments: argparse.Namespace) -> Case:
    """Return a model of the zoo."""
    weights = arguments.weights if ZOO[name].weights == "random" else None
    entry, module = ZOO[name], model(name, weights=weights)
    given = shown(name, arguments.samples, weights=weights, archive=arguments.tweets)
    outputs = in_float(module, given.seen[:2])
    task = "embedding" if given.embedding or outputs.ndim != 2 else "classification"  # noqa: PLR2004 - samples and classes
    classes = tuple(f"class {index}" for index in range(outputs.shape[1])) if task == "classification" else ()
    text = TextPreprocessing(tokenizer="none", max_length=entry.shape[0]) if entry.tokens else None
    values = given.unseen.numpy()
    package = Package(name, classes, text or ArrayPreprocessing(shape=entry.shape), values[:4], task=task)
    origin = "distilled here, see zoo/distilled.py" if weights else entry.weights
    return Case(
        module, package, values, None, given.title, origin, lambda spec: calibrated_program(module, given.seen, spec)
    )


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
    title = f"the {len(values)} test images"
    return Case(student, package, values, context.test.labels, title, "the run's student", quantized, at_once=100)


def measured(case: Case) -> dict[str, object]:
    """Return everything about one model."""
    floats = in_float(case.module, torch.from_numpy(case.values))
    ours, theirs = case.quantized(OURS), case.quantized(DEFAULTS)
    return {
        "n": len(case.values),
        "inputs": case.title,
        "weights": case.weights,
        "parameters": sum(item.numel() for item in case.module.parameters()),
        "bytes": float_bytes(case),
        "fp32_accuracy": accuracy(floats, case.labels),
        "program_against_fp32_model": against(floats, ours.run(case.values, batch=case.at_once), case),
        "ours": {str(item): built(case, floats, ours, item) for item in (Deployment.IOS17, Deployment.IOS18)},
        "defaults": defaults(case, floats, theirs),
        "core_ai": second_witness(case, ours),
    }


def second_witness(case: Case, program: QuantizedProgram) -> dict[str, object]:
    """Return how far Apple's Core AI runtime, given the same program, agrees with it; or why it was not asked."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / core_ai.MODEL
        reason = core_ai.emit(program, torch.from_numpy(case.values[:1]), path)
        if reason is not None:
            return {"not_run": reason}
        asset = core_ai.CoreAiAsset(path)
        reference = program.run(case.values, batch=case.at_once)
        return {
            "label": asset.label,
            "bytes": sum(file.stat().st_size for file in path.iterdir()),
            "against_program": against(reference, asset.run(case.values), case),
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


def built(
    case: Case, floats: NDArray[np.float32], program: QuantizedProgram, deployment: Deployment
) -> dict[str, object]:
    """Return how a package of ours was made, what stands in it, and what it computes."""
    with tempfile.TemporaryDirectory() as folder:
        package, again = Path(folder) / "m.mlpackage", Path(folder) / "again.mlpackage"
        start = time.process_time()
        write_package(
            coreml.model_from_program(program, deployment=deployment, package=case.package), package, metadata={}
        )
        seconds = time.process_time() - start
        write_package(
            coreml.model_from_program(program, deployment=deployment, package=case.package), again, metadata={}
        )
        saved = read_package(package)
        return {
            "bytes": package_bytes(package),
            "conversion_cpu_seconds": seconds,
            "second_build_has_the_same_bytes": package_hash(package) == package_hash(again),
            **carried(program, package),
            "biases_stored": len(biases(saved)),
            "operations": sorted({item.kind for item in saved.operations}),
            **computed(case, floats, program, package),
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


def computed(case: Case, floats: NDArray[np.float32], program: QuantizedProgram, package: Path) -> dict[str, object]:
    """Return how far the interpreted package agrees with the program and with the fp32 model, in each precision."""
    reference = program.run(case.values, batch=case.at_once)
    found: dict[str, object] = {}
    for precision in Precision:
        outputs = InterpretedPackage(package, precision, batch=case.at_once).run(case.values)
        found[str(precision)] = against(reference, outputs, case)
        found[f"{precision}_against_fp32_model"] = against(floats, outputs, case)
    return found


def against(reference: NDArray[np.float32], outputs: NDArray[np.float32], case: Case) -> dict[str, object]:
    """Return how far outputs agree with a reference, and their accuracy."""
    found = agreement(reference, outputs, embedding=case.package.task == "embedding")
    return {**found, "accuracy": accuracy(outputs, case.labels)}


def accuracy(outputs: NDArray[np.float32], labels: NDArray[np.int64] | None) -> float | None:
    """Return the share of right answers, none without labels."""
    return None if labels is None else float((outputs.argmax(1) == labels).mean())


def defaults(case: Case, floats: NDArray[np.float32], program: QuantizedProgram) -> dict[str, object]:
    """Return the same for fp32 scales and every pass of coremltools: what a package holds, and what it computes."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(coreml, "LEFT_OUT", ()):
        package = Path(folder) / "m.mlpackage"
        made = coreml.model_from_program(program, deployment=Deployment.IOS17, package=case.package)
        write_package(made, package, metadata={})
        found = computed(case, floats, program, package)
        return {"bytes": package_bytes(package), **carried(program, package), **found}


def row(name: str, found: dict[str, object]) -> str:
    """Return one line of the table."""
    ours, theirs = found["ours"]["iOS17"], found["defaults"]  # type: ignore[index] # as measured() writes it
    return (
        f"{name:20s} {ours['bytes']:>11,} B  carried {ours['scales_equal']}/{ours['tensors']}"
        f"  fp32 {_answers(ours['fp32'])} fp16 {_answers(ours['fp16'])}"
        f"  | defaults carried {theirs['scales_equal']}/{theirs['tensors']} fp16 {_answers(theirs['fp16'])}"
    )


def _answers(found: dict[str, float]) -> str:
    return f"{next(iter(found.values())):.4f} within {found['largest_steps']:.2f} steps"


def main() -> None:
    """Measure the models, print a table, add them to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", choices=["demo", *ZOO])
    parser.add_argument("--run", type=Path, default=Path("runs/fashion-mnist"))
    parser.add_argument("--recipe", type=Path, default=ROOT / "examples/fashion_mnist.yaml")
    parser.add_argument("--samples", type=int, default=256, help="of the evaluation set of a model of the zoo")
    parser.add_argument("--weights", type=Path, help="what zoo/distilled.py wrote, for models without weights")
    parser.add_argument("--tweets", type=Path, help="vaderSentiment-3.3.2.tar.gz, for the sentence encoder")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/coreml_packages.json")
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    results = json.loads(args.out.read_text("utf-8")) if args.out.exists() else {"models": {}}
    for name in args.models:
        case = demo_case(args.recipe, args.run) if name == "demo" else zoo_case(name, args)
        results["models"][name] = measured(case)
        results["versions"] = {item: version(item) for item in ("coremltools", "torch", "numpy", "edgedistill")}
        results["python"] = sys.version.split()[0]
        args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        print(row(name, results["models"][name]), flush=True)


if __name__ == "__main__":
    main()
