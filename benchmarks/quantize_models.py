"""Quantizes every model of the zoo for ARM, unedited, and says what became of it.

    python benchmarks/quantize_models.py [NAME ...]

For each model: whether it was captured; the share of multiply-accumulates that ONNX Runtime computes with integers,
from its own optimized graph; how far the INT8 program (post-training, MSE ranges, 128 samples) is from the float model;
how far the artifact in ONNX Runtime is from the program computed with integers; sizes and times.

Inputs: crops of photographs (package scikit-image) for ImageNet models; human-written tweets (the source archive of
the package vaderSentiment, --tweets) for the sentence encoder; smoothed noise for models of random weights. Of random
weights only the structure means anything: agreement with the float model is told, but says nothing of trained ones.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from importlib import metadata
from pathlib import Path

import onnxruntime
import torch
import zoo
from torch import Tensor
from torch.nn import functional
from zoo.photographs import normalised_crops
from zoo.shown import tweets

from edgedistill.errors import ModelError
from edgedistill.evaluate.integer_share import integer_share
from edgedistill.evaluate.onnx_runtime import OnnxRuntimeExecutor
from edgedistill.evaluate.parity import parity
from edgedistill.export.onnx_writer import onnx_from_module, onnx_from_program
from edgedistill.quantize.annotate import annotate
from edgedistill.quantize.calibrate import GivenBatches, calibrate
from edgedistill.quantize.capture import capture
from edgedistill.quantize.convert import convert
from edgedistill.quantize.sensitivity import agreement, sqnr_db
from edgedistill.quantize.spec import QuantSpec
from edgedistill.recipe import Calibration

CALIBRATION, BATCH = 128, 16
PHOTOGRAPHS = (
    "astronaut",
    "chelsea",
    "coffee",
    "cell",
    "ihc",
    "motorcycle_left",
    "motorcycle_right",
    "rocket",
    "retina",
)
X86 = {"session.x64quantprecision": "1"}


def photographs(count: int, *, seed: int) -> Tensor:
    """Return (count, 3, 224, 224): crops of photographs, normalised as ImageNet models want them."""
    return normalised_crops(PHOTOGRAPHS, count, seed=seed, smallest=0.5)


def inputs_of(name: str, count: int, *, seed: int, archive: Path | None) -> tuple[Tensor, str]:
    """Return inputs of a model and what they are."""
    entry = zoo.ZOO[name]
    if name == "minilm":
        if archive is None:
            return zoo.inputs(name, count, seed=seed).to(torch.int32), "random token ids"
        return tweets(count, archive, seed=seed), "tweets"
    if entry.weights == "ImageNet":
        return photographs(count, seed=seed), "crops of photographs"
    noise = zoo.inputs(name, count, seed=seed)
    if noise.ndim == 4:  # noqa: PLR2004 - images
        noise = 3 * functional.avg_pool2d(noise, 5, 1, 2)
    return noise, "smoothed noise"


def measure(name: str, *, count: int, archive: Path | None, folder: Path) -> dict[str, object]:
    """Return everything about one model."""
    entry = zoo.ZOO[name]
    model = zoo.model(name)
    samples, kind = inputs_of(name, CALIBRATION, seed=1, archive=archive)
    tested, _ = inputs_of(name, count, seed=2, archive=archive)
    row: dict[str, object] = {"model": name, "weights": entry.weights, "inputs": kind, "n": count}
    started = time.perf_counter()
    try:
        graph = capture(model, samples[:2])
    except ModelError as error:
        return row | {"captured": False, "refused": str(error)}
    captured = time.perf_counter()
    annotate(graph, QuantSpec())
    calibrate(graph, GivenBatches(samples.split(BATCH), Calibration(max_drift=100)))
    calibrated = time.perf_counter()
    program = convert(graph, QuantSpec(), samples[:2])
    path = folder / f"{name}.onnx"
    onnx_from_program(program, path)
    built = time.perf_counter()
    onnx_from_module(model, samples[:2], folder / f"{name}_fp32.onnx")
    share = integer_share(path, tested[:1].numpy(), options=X86)
    with torch.no_grad():
        exact = torch.cat([model(part) for part in tested.split(BATCH)])
    integer = program.run(tested.numpy(), batch=BATCH)
    artifact = OnnxRuntimeExecutor(path, options=X86, batch=BATCH).run(tested.numpy())
    compared = parity(integer.reshape(count, -1), artifact.reshape(count, -1), max_steps=1.0)
    return row | {
        "captured": True,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "integer_mac_share": share.fraction,
        "macs": sum(item.macs for item in (*share.integers, *share.floats)),
        "float_products": [f"{item.kind} {item.node}" for item in share.floats],
        "float_islands": dict(share.islands),
        "top1_agreement_with_float": agreement(exact, torch.from_numpy(integer)),
        "sqnr_db": sqnr_db(exact, torch.from_numpy(integer)),
        "cosine_with_float": float(
            functional.cosine_similarity(exact.flatten(1), torch.from_numpy(integer).flatten(1)).mean()
        ),
        "program_artifact_top1": compared.top1_agreement,
        "program_artifact_identical": compared.identical_outputs,
        "program_artifact_largest_steps": compared.largest_steps,
        "size_bytes": path.stat().st_size,
        "fp32_bytes": (folder / f"{name}_fp32.onnx").stat().st_size,
        "capture_s": captured - started,
        "calibrate_s": calibrated - captured,
        "build_s": built - calibrated,
    }


def main() -> None:
    """Measure the models, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(zoo.ZOO), metavar="NAME", help=", ".join(zoo.ZOO))
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--tweets", type=Path, help="vaderSentiment-3.3.2.tar.gz, for the sentence encoder")
    parser.add_argument("--into", type=Path, default=Path("benchmarks/results/quantize_models.json"))
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.names:
            row = measure(name, count=arguments.samples, archive=arguments.tweets, folder=Path(folder))
            rows.append(row)
            print(json.dumps(row), flush=True)
    document = {
        "machine": f"{platform.machine()}, {platform.system()} {platform.release()}",
        "versions": {name: metadata.version(name) for name in ("torch", "onnx", "onnxruntime", "numpy")},
        "runtime": f"ONNX Runtime {onnxruntime.__version__}, {platform.machine()} workstation, x64quantprecision",
        "threads": torch.get_num_threads(),
        "calibration_samples": CALIBRATION,
        "rows": rows,
    }
    arguments.into.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
