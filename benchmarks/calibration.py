"""Calibration: memory and time of ours against ONNX Runtime's calibrators, and our ranges against exact ones.

    python benchmarks/calibration.py

Each measurement is a process of its own, one after the other. Memory is the peak of the process above what it used
after the model had been loaded and run once on one batch. Batches are made when they are asked for, so that no method
pays for a list of inputs. Models: MobileNetV2 (random weights, 3 x 224 x 224) and the sentence encoder all-MiniLM-L6-v2
(128 tokens), both of the zoo. ONNX Runtime's calibrators get the fp32 ONNX file of the same model and the same batches.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import zoo

from edgedistill.calibration.histogram import Histogram
from edgedistill.calibration.ranges import Form, choose_range
from edgedistill.export.onnx_writer import onnx_from_module
from edgedistill.quantize.annotate import activation_quantizers, annotate
from edgedistill.quantize.calibrate import calibrate
from edgedistill.quantize.capture import capture
from edgedistill.quantize.spec import QuantSpec
from edgedistill.recipe import Calibration, RangeMethod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

BATCH = 8
MIB = 2**20
OURS = ("ours, entropy", "ours, mse")
PEERS = ("onnxruntime, min-max", "onnxruntime, entropy 2048", "onnxruntime, percentile 2048")


def batches(name: str, count: int) -> Iterator[Tensor]:
    """Yield `count` samples in batches, the same at every call."""
    for start in range(0, count, BATCH):
        samples = zoo.inputs(name, min(BATCH, count - start), seed=start)
        yield samples.to(torch.int32) if zoo.ZOO[name].tokens else samples


def resident_bytes() -> int:
    """Return what this process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Halves:
    """Samples as `calibrate` asks for them."""

    def __init__(self, name: str, count: int, settings: Calibration) -> None:
        self.name, self.count, self.settings = name, count, settings

    def halves(self) -> tuple[Iterator[Tensor], Iterator[Tensor]]:
        """Return the batches of two halves."""
        half = self.count // 2
        return batches(self.name, half), batches(self.name, self.count - half)


def ours(name: str, method: str, count: int) -> dict[str, float]:
    """Calibrate with our histograms."""
    model = zoo.model(name)
    first = next(batches(name, BATCH))
    graph = annotate(capture(model, first[:2]), QuantSpec())
    with torch.no_grad():
        graph(first)
    before, started = resident_bytes(), time.perf_counter()
    settings = Calibration(method=RangeMethod(method), max_drift=100)
    calibrate(graph, Halves(name, count, settings))
    return finished(before, started, tensors=len(activation_quantizers(graph)))


def theirs(name: str, method: str, count: int, path: Path) -> dict[str, float]:
    """Calibrate with ONNX Runtime's calibrators on the fp32 file."""
    import onnxruntime  # noqa: PLC0415 - only this process needs it
    from onnxruntime.quantization.calibrate import (  # noqa: PLC0415 - as above
        CalibrationDataReader,
        CalibrationMethod,
        create_calibrator,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc] # untyped
        def __init__(self) -> None:
            self.batches = batches(name, count)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"input": batch.numpy()}

    session = onnxruntime.InferenceSession(str(path))
    session.run(None, {"input": next(batches(name, BATCH)).numpy()})
    kinds = {
        "min-max": (CalibrationMethod.MinMax, {}),
        "entropy": (CalibrationMethod.Entropy, {"num_bins": 2048, "num_quantized_bins": 255}),
        "percentile": (CalibrationMethod.Percentile, {"num_bins": 2048, "percentile": 99.99}),
    }
    kind, options = kinds[method]
    before, started = resident_bytes(), time.perf_counter()
    calibrator = create_calibrator(
        str(path), None, str(path.with_name("augmented.onnx")), calibrate_method=kind, extra_options=options
    )
    calibrator.collect_data(Reader())
    found = calibrator.compute_data()
    return finished(before, started, tensors=len(found.data))


def finished(before: int, started: float, *, tensors: int) -> dict[str, float]:
    """Return time, and the process's peak above `before`."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": time.perf_counter() - started, "peak_mib": max(0, peak - before) / MIB, "tensors": tensors}


def exactness() -> list[dict[str, float | str]]:
    """Return our ranges beside exact ones by numpy, on four distributions of a million values."""
    generator = np.random.default_rng(0)
    count = 1_000_000
    drawn = {
        "normal": generator.normal(size=count),
        "half normal (after a ReLU)": np.maximum(generator.normal(size=count), 0),
        "student t, 3 degrees": generator.standard_t(3, size=count),
        "two far apart": np.concatenate([generator.normal(-4, 0.1, count // 2), generator.normal(9, 0.5, count // 2)]),
    }
    rows: list[dict[str, float | str]] = []
    for name, values in drawn.items():
        exact = values.astype(np.float32)
        histogram = Histogram()
        for part in np.array_split(exact, 10):
            histogram.update(torch.from_numpy(part))
        found = {
            method: choose_range(histogram, method, form=Form.ASYMMETRIC, codes=256, percent=99.99, name=name)
            for method in (RangeMethod.MIN_MAX, RangeMethod.PERCENTILE)
        }
        threshold = float(np.percentile(np.abs(exact), 99.99))
        kept = found[RangeMethod.PERCENTILE]
        rows.append(
            {
                "distribution": name,
                "min_max_equal": float(
                    found[RangeMethod.MIN_MAX].low == min(exact.min(), 0)
                    and found[RangeMethod.MIN_MAX].high == exact.max()
                ),
                "percentile_exact": threshold,
                "percentile_ours": max(-kept.low, kept.high),
                "relative_difference": abs(max(-kept.low, kept.high) - threshold) / threshold,
            }
        )
    return rows


def measured(what: str, name: str, count: int, path: Path) -> dict[str, object]:
    """Run one measurement in a process of its own; a process that dies is a result."""
    command = [sys.executable, "-W", "ignore", __file__, "--child", what, name, str(count), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    row: dict[str, object] = {"method": what, "model": name, "samples": count}
    if done.returncode != 0:
        return row | {"failed": f"exit code {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"}
    return row | dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure, print, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument(
        "--peer-samples", type=int, nargs="*", default=[16, 32, 64], help="of the peers, which keep them"
    )
    parser.add_argument("--models", nargs="*", default=["mobilenet_v2", "minilm"])
    parser.add_argument("--into", type=Path, default=Path("benchmarks/results/calibration.json"))
    arguments = parser.parse_args()
    if arguments.child:
        what, name, count, path = arguments.child
        tool, _, method = what.partition(", ")
        method = method.split()[0]
        torch.set_num_threads(1)
        found = ours(name, method, int(count)) if tool == "ours" else theirs(name, method, int(count), Path(path))
        print(json.dumps(found))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.models:
            path = Path(folder) / f"{name}.onnx"
            onnx_from_module(zoo.model(name), next(batches(name, BATCH))[:2], path)
            sizes = sorted({*arguments.peer_samples, arguments.samples})
            plan = [(what, count) for what in OURS for count in sizes]
            plan += [(what, count) for what in PEERS for count in arguments.peer_samples]
            for what, count in plan:
                row = measured(what, name, count, path)
                rows.append(row)
                print(json.dumps(row), flush=True)
    document = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread",
        "versions": {name: metadata.version(name) for name in ("torch", "onnxruntime", "numpy")},
        "batch": BATCH,
        "rows": rows,
        "exactness": exactness(),
    }
    arguments.into.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(json.dumps(document["exactness"], indent=1))


if __name__ == "__main__":
    main()
