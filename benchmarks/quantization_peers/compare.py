"""Quantizes the students of finished runs with edgedistill and with its peers, and compares what comes out.

    python benchmarks/quantization_peers/compare.py RUN... --python nncf_onnx=/envs/nncf/bin/python ...

Every file is run in ONNX Runtime, configured so that this machine computes what an ARM CPU computes
(session.x64quantprecision). Accuracy is over the evaluation set. "Simulation" is what the peer itself says the
quantized model answers: its torch model where it has one, else its file with all optimizations off. Host times are
interleaved, one sample at a time, one thread: medians of all rounds. Instructions are counted on an emulated
Cortex-A76: a count, no time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import torch

from edgedistill.calibration.samples import choose_samples
from edgedistill.data.sources import load
from edgedistill.data.views import transfer_set
from edgedistill.devices.instructions import count_instructions
from edgedistill.distill.student import load_student
from edgedistill.evaluate.integer_share import integer_share
from edgedistill.evaluate.metrics import accuracy
from edgedistill.export.onnx_writer import onnx_from_module, onnx_from_program
from edgedistill.export.passes.own_initializers import unshare_initializers
from edgedistill.models.loading import load_model
from edgedistill.quantize.annotate import annotate
from edgedistill.quantize.calibrate import CalibrationSet, calibrate
from edgedistill.quantize.capture import capture
from edgedistill.quantize.convert import convert
from edgedistill.quantize.program import load_program
from edgedistill.quantize.spec import QuantSpec
from edgedistill.recipe import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE = Path(__file__).parent
PRECISE = "session.x64quantprecision"
PEERS = {
    "onnxruntime, default": ("onnxruntime_static", ["default"]),
    "onnxruntime, best": ("onnxruntime_static", ["best"]),
    "nncf (ONNX)": ("nncf_onnx", []),
    "modelopt (torch)": ("modelopt_torch", []),
    "brevitas (torch)": ("brevitas_torch", []),
    "torchao PT2E": ("torchao_pt2e", []),
}
ROUNDS, REPEATS = 60, 40


class Student:
    """A finished run's student and its data."""

    def __init__(self, run: Path, folder: Path) -> None:
        self.recipe = Recipe.model_validate(json.loads((run / "summary.json").read_text("utf-8"))["recipe"])
        self.run, self.folder, self.name = run, folder, self.recipe.name
        data = self.recipe.data
        arguments = {"preprocessing": data.preprocessing, "classes": data.classes, "recipe_folder": run}
        train, test = (load(data.source, split, **arguments) for split in ("train", "test"))  # type: ignore[arg-type] # as the steps do
        self.transfer_set = transfer_set(train, data.preprocessing, data.views, self.recipe.seed)
        self.labels = test.labels
        test_set = transfer_set(test, data.preprocessing, data.views, self.recipe.seed)
        self.test = test_set.plain(np.arange(len(test))).inputs
        options = {"classes": len(train.classes), "channels": data.preprocessing.input_shape[0]}
        self.model = load_model(self.recipe.student, recipe_folder=run, **options)
        load_student(self.model, run / "student" / "student.safetensors")
        self.model.eval()
        folder.mkdir(parents=True)
        chosen = choose_samples(train.labels, count=512, seed=self.recipe.seed)
        np.save(folder / "calibration.npy", self.transfer_set.plain(chosen).inputs)
        np.save(folder / "test.npy", self.test)
        torch.save(self.model.state_dict(), folder / "student.pt")
        onnx_from_module(self.model, torch.from_numpy(self.test[:2]), folder / "student.onnx")
        self.task = {
            "folder": str(folder),
            "family": self.recipe.student.source,
            "options": {**self.recipe.student.options, **options},
        }


def ours(student: Student) -> dict[str, tuple[Path, NDArray[np.float32], float]]:
    """Return our files, what our program answers, and the seconds they took: calibrated only, and the run's."""
    started = time.perf_counter()
    settings = student.recipe.quantize.calibration.model_copy(update={"samples": 512})
    samples = CalibrationSet(student.transfer_set, settings, seed=student.recipe.seed)
    graph = annotate(capture(student.model, samples.example()), QuantSpec())
    calibrate(graph, samples)
    program = convert(graph, QuantSpec(), samples.example())
    path = student.folder / "edgedistill.onnx"
    onnx_from_program(program, path)
    seconds = time.perf_counter() - started
    found = {"edgedistill, calibrated only": (path, program.run(student.test), seconds)}
    trained = load_program(student.run / "programs" / QuantSpec().key)
    fine = student.folder / "edgedistill_tuned.onnx"
    onnx_from_program(trained, fine)
    found["edgedistill, the run's program"] = (fine, trained.run(student.test), float("nan"))
    return found


def peers(student: Student, pythons: dict[str, str]) -> dict[str, tuple[Path, Path, float] | str]:
    """Return each peer's file, the file of its simulation's answers and its seconds, or why there are none."""
    found: dict[str, tuple[Path, Path, float] | str] = {}
    for name, (script, arguments) in PEERS.items():
        stem = name.replace(" ", "_").replace(",", "").replace("(", "").replace(")", "")
        into, simulation = student.folder / f"{stem}.onnx", student.folder / f"{stem}.npy"
        if script not in pythons:
            found[name] = f"no interpreter was given: --python {script}=..."
            continue
        task = student.folder / f"{stem}.json"
        task.write_text(json.dumps({**student.task, "into": str(into), "simulation": str(simulation)}), "utf-8")
        started = time.perf_counter()
        done = subprocess.run(
            [pythons[script], str(HERE / f"{script}.py"), str(task), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), "HF_HUB_OFFLINE": "1"},
        )
        seconds = time.perf_counter() - started
        if done.returncode != 0 or not into.exists():
            found[name] = " / ".join(done.stderr.strip().splitlines()[-2:]) or f"exit code {done.returncode}"
            continue
        found[name] = (into, simulation, seconds)
    return found


def session_of(path: Path, *, precise: bool = True, optimized: bool = True) -> onnxruntime.InferenceSession:
    """Return a session with one thread; `precise` is the configuration that is right on this machine."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    if not optimized:
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    elif precise:
        settings.add_session_config_entry(PRECISE, "1")
    return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])


def outputs_of(session: onnxruntime.InferenceSession, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the outputs of all inputs."""
    feed = session.get_inputs()[0].name
    parts = [session.run(None, {feed: inputs[start : start + 250]})[0] for start in range(0, len(inputs), 250)]
    return np.concatenate(parts)


def loadable(path: Path) -> tuple[Path, str]:
    """Return a file that ONNX Runtime takes with the precise configuration; constants are unshared where needed."""
    try:
        session_of(path)
    except Exception:  # noqa: BLE001 - the runtime has no exception type of its own
        model = onnx.load(path)
        unshare_initializers(model)
        mended = path.with_suffix(".unshared.onnx")
        onnx.save(model, mended)
        return mended, "refused as it is with x64quantprecision (shared constants); measured with its own constants"
    return path, ""


def row(student: Student, name: str, path: Path, simulated: NDArray[np.float32], seconds: float) -> dict[str, object]:
    """Return what one file is worth."""
    size = path.stat().st_size
    path, note = loadable(path)
    outputs = outputs_of(session_of(path), student.test)
    step = float(simulated.max() - simulated.min()) / 255
    share = integer_share(path, student.test[:1], options={PRECISE: "1"})
    same = simulated.argmax(1) == outputs.argmax(1)
    return {
        "student": student.name,
        "tool": name,
        "accuracy": accuracy(outputs, student.labels),
        "simulation_accuracy": accuracy(simulated, student.labels),
        "disagreements_with_simulation": int((~same).sum()),
        "identical_outputs": float((simulated == outputs).mean()),
        "largest_difference_steps": float(np.abs(simulated - outputs).max() / step),
        "integer_mac_share": share.fraction,
        "float_products": [f"{item.kind} {item.node}" for item in share.floats],
        "size_bytes": size,
        "seconds": seconds,
        "note": note,
        "path": str(path),
    }


def host_times(rows: list[dict[str, object]], sample: NDArray[np.float32]) -> None:
    """Add the median time of one inference, interleaved over all files."""
    sessions = [session_of(Path(str(item["path"]))) for item in rows]
    feeds = [{session.get_inputs()[0].name: sample} for session in sessions]
    times: list[list[float]] = [[] for _ in sessions]
    for _ in range(ROUNDS):
        for session, feed, collected in zip(sessions, feeds, times, strict=True):
            for _ in range(REPEATS):
                started = time.perf_counter_ns()
                session.run(None, feed)
                collected.append(time.perf_counter_ns() - started)
    for item, collected in zip(rows, times, strict=True):
        item["host_median_us"] = float(np.median(collected)) / 1000


def main() -> None:
    """Compare, print, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--python", action="append", default=[], metavar="SCRIPT=INTERPRETER")
    parser.add_argument("--cpu-model", default="cortex-a76")
    parser.add_argument("--no-instructions", action="store_true")
    parser.add_argument("--into", type=Path, default=HERE.parent / "results" / "quantization_peers.json")
    arguments = parser.parse_args()
    pythons = {"onnxruntime_static": sys.executable, **dict(item.split("=", 1) for item in arguments.python)}
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for run in arguments.runs:
            student = Student(run, Path(folder) / run.name)
            mine: list[dict[str, object]] = []
            fp32 = student.folder / "student.onnx"
            with torch.no_grad():
                exact = student.model(torch.from_numpy(student.test)).numpy()
            mine.append(row(student, "fp32", fp32, exact, float("nan")))
            mine += [row(student, name, *found) for name, found in ours(student).items()]
            failed = []
            for name, result in peers(student, pythons).items():
                if isinstance(result, str):
                    failed.append({"student": student.name, "tool": name, "failed": result})
                    continue
                path, simulation, seconds = result
                own = (
                    np.load(simulation)
                    if simulation.exists()
                    else outputs_of(session_of(path, optimized=False), student.test)
                )
                mine.append(row(student, name, path, own, seconds))
            host_times(mine, student.test[:1])
            if not arguments.no_instructions:
                paths = [Path(str(item["path"])) for item in mine]
                counts = count_instructions(paths, student.test[:20], cpu_model=arguments.cpu_model)
                for item, count in zip(mine, counts, strict=True):
                    item["instructions_a76"] = count.instructions
            for item in [*mine, *failed]:
                item.pop("path", None)
                rows.append(item)
                print(json.dumps(item), flush=True)
    document = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: metadata.version(name) for name in ("torch", "onnx", "onnxruntime", "numpy")},
        "rows": rows,
    }
    arguments.into.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
