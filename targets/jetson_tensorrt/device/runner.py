"""Runs an artifact on the Jetson module it was built for. Needs Python 3.8, numpy, and JetPack's TensorRT and CUDA.

    python3 runner.py all                                     everything below, and which precision to ship
    python3 runner.py verify                                  files, engine, golden samples, layers in INT8
    python3 runner.py bench                                   latency of INT8 and FP16, after verify
    python3 runner.py predict --raw SAMPLES.npy               classes of raw samples
    python3 runner.py run --inputs X.npy --outputs Y.npy      outputs of preprocessed inputs

Each command prints one JSON document on standard output. Exit codes: 0 done, 1 a bug of ours, 2 the user's input or
something missing on this module, 3 the artifact is not what was built or does not run in INT8, 4 TensorRT failed,
130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from edgedistill.targets.jetson_tensorrt.device import bench, layers, module, trtexec
from edgedistill.targets.jetson_tensorrt.device.answer import SCHEMA, Document, GateError, InputError, RunnerError
from edgedistill.targets.jetson_tensorrt.device.cuda import Cuda
from edgedistill.targets.jetson_tensorrt.device.engine import Engine, cache_folder, tensorrt, version_of
from edgedistill.targets.jetson_tensorrt.device.manifest import Manifest, array_from
from edgedistill.targets.jetson_tensorrt.device.store import Kept, engine_of
from edgedistill.targets.jetson_tensorrt.device.trtexec import Options

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

PRECISIONS = ("int8", "fp16")
ROUNDING_STEPS = 1e-3  # outputs are float32, so that one step may read as a little more than one


class Session:
    """What the commands of one call share.

    Args:
        manifest: of the artifact.
        arguments: of the command line.
    """

    def __init__(self, manifest: Manifest, arguments: argparse.Namespace) -> None:
        self.manifest, self.arguments = manifest, arguments
        self.measured: Document = {}
        self.trt: ModuleType = tensorrt()
        self.cuda = Cuda()
        self.options = Options(
            workspace_mb=arguments.workspace_mb,
            dla_core=arguments.dla_core if arguments.dla_core is not None or not manifest.document.get("dla") else 0,
            level=arguments.level,
        )
        self.folder = cache_folder(arguments.cache)

    def kept(self, precision: str) -> Kept:
        """Return the engine of a precision, built if it is not there yet."""
        program = trtexec.find_trtexec(self.arguments.trtexec) if self.arguments.builder == "trtexec" else None
        return engine_of(
            self.trt, self.manifest, precision, self.options, cuda=self.cuda, folder=self.folder, program=program
        )

    def opened(self, kept: Kept) -> Engine:
        """Return an engine, ready to run."""
        return Engine(self.trt, kept.plan.read_bytes(), self.cuda, dla_core=self.options.dla_core)


def verify(session: Session) -> Tuple[Document, List[Kept]]:
    """Check files, build both engines, compare golden outputs, and see that the layers run in INT8.

    Raises:
        GateError: a file, an output or a layer is not what was built.
        TensorRtError: TensorRT refuses the network.
    """
    files = session.manifest.check_files()
    inputs, expected = session.manifest.golden()
    with np.load(str(session.manifest.path("golden.npz")), allow_pickle=False) as golden:
        wanted = {"int8": expected, "fp16": golden["outputs_fp16"]}
    engines, compared, kept = [], {}, []
    for precision in PRECISIONS:
        say("engine for {}: takes minutes where none is kept yet".format(precision.upper()))
        one = session.kept(precision)
        kept.append(one)
        engine = session.opened(one)
        compared[precision] = _compared(engine.outputs(inputs), wanted[precision], session.manifest.document, precision)
        engines.append(one.described())
        if precision == "int8":
            placed = layers.placement(engine.information(), session.manifest.expected_int8)
            if session.options.dla_core is None:
                layers.require_int8(placed)
    found = {"int8": len(placed.int8), "expected": len(session.manifest.expected_int8), "float": placed.floating}
    notes = [] if session.options.dla_core is None else ["DLA's layers are not listed one by one; types not proven"]
    return {"files": files, "engines": engines, "golden": compared, "layers": found, "notes": notes}, kept


def benchmark(session: Session) -> None:
    """Verify, then measure both precisions, and say which to ship; what is found is kept in `session.measured`.

    Raises:
        GateError: as `verify`; nothing is measured then.
        TensorRtError: a measurement failed; those before it are kept.
    """
    arguments, found = session.arguments, session.measured
    if arguments.power_mode is not None:
        module.change_power_mode(arguments.power_mode)
    if arguments.fix_clocks:
        module.fix_clocks()
    program, missing = _trtexec(arguments)
    verified, kept = verify(session)
    say("files, golden samples and layers are right; measuring INT8 and FP16, in turns")
    found["result"] = bench.measured(
        session.manifest,
        kept,
        verified["golden"],
        _child_command(arguments),
        plan=_plan(arguments),
        say=say,
    )
    notes = [note for recording in found["result"] for note in recording["notes"]]
    found["warnings"] = list(dict.fromkeys(notes))
    found["verified"], found["advice"], found["trtexec"] = verified, bench.advice(found["result"]), []
    found["result"][0]["precisions"] = bench.precisions(found["advice"])
    found["warnings"] += missing
    if program is None:
        return
    for one in kept:
        say("trtexec measures {}".format(one.precision.upper()))
        found["trtexec"].append(
            bench.trtexec_measured(program, version_of(session.trt), one, session.options, timeout_s=arguments.timeout)
        )


def sample(session: Session) -> Document:
    """Measure one precision in this process; started by `bench`."""
    arguments = session.arguments
    kept = session.kept(arguments.precision)
    with np.load(str(session.manifest.path("golden.npz")), allow_pickle=False) as golden:
        inputs = golden["inputs"]
    if arguments.affinity:
        _stay_on(arguments.affinity)
    plan = bench.Plan(samples=arguments.samples, seconds=arguments.seconds, max_seconds=arguments.max_seconds)
    return bench.sampled(lambda: session.opened(kept), session.cuda, inputs, plan=plan)


def run(session: Session) -> Document:
    """Write the outputs of preprocessed inputs into a file."""
    arguments = session.arguments
    session.manifest.check_files()
    inputs = array_from(arguments.inputs)[arguments.start : arguments.stop]
    outputs = session.opened(session.kept(arguments.precision)).outputs(inputs)
    into = Path(arguments.outputs)
    beside = into.with_name("." + into.name + ".partial")
    with beside.open("wb") as file:
        np.save(file, outputs)
    beside.replace(into)
    return {"n": len(outputs), "outputs": str(into), "shape": list(outputs.shape)}


def predict(session: Session) -> Document:
    """Return the class of each raw sample, or its embedding where the model has no classes."""
    arguments = session.arguments
    session.manifest.check_files()
    raw = np.array(arguments.text) if arguments.text else array_from(arguments.raw)
    inputs = session.manifest.inputs(raw)
    outputs = session.opened(session.kept(arguments.precision)).outputs(inputs)
    names = session.manifest.document["classes"]
    if not names:
        return {"n": len(outputs), "embeddings": [[float(value) for value in row] for row in outputs]}
    predictions = [
        {"class": names[int(row.argmax())], "index": int(row.argmax()), "output": float(row.max())} for row in outputs
    ]
    return {"n": len(predictions), "predictions": predictions}


def answer(folder: Path, arguments: Sequence[str]) -> Tuple[Document, int]:
    """Carry out one command and return the document to print and the exit code."""
    head: Document = {"schema": SCHEMA, "command": arguments[0] if arguments else None}
    session: Optional[Session] = None
    try:
        options = _parser().parse_args(arguments)
        session = Session(Manifest(folder), options)
        result = _carried_out(session)
    except RunnerError as error:
        kept = session.measured if session is not None else {}
        told = {"kind": type(error).__name__, "message": str(error)}
        return {**head, "ok": False, "error": told, **kept}, error.exit_code
    return {**head, "ok": True, **_circumstances(session), **result}, 0


def main(folder: Path, arguments: Optional[Sequence[str]] = None) -> int:
    """Carry out the command line and print one JSON document."""
    try:
        document, code = answer(folder, sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return 130
    print(json.dumps(document))
    for line in _told(document):
        say(line)
    return code


def say(line: str) -> None:
    """Tell whoever waits: on standard error, because standard output is the answer."""
    print(line, file=sys.stderr, flush=True)


def _told(document: Document) -> List[str]:
    """Return what the answer comes to, for whoever sent it into a file."""
    if document["command"] not in ("all", "bench", "verify"):
        return []
    lines = ["warning: {}".format(warning) for warning in document.get("warnings", [])]
    advised = document.get("advice") or {"ship": None}
    if advised["ship"]:
        medians = [float(np.median(advised[name])) for name in ("int8_ms", "fp16_ms")]
        lines.append("median of INT8 {:.4g} ms, of FP16 {:.4g} ms: {}".format(*medians, advised["reason"]))
    ending = "done" if document["ok"] else "FAILED: {}".format(document["error"]["message"])
    return [*lines, "{}: {}".format(document["command"], ending)]


def _trtexec(arguments: argparse.Namespace) -> Tuple[Optional[Path], List[str]]:
    """Return where trtexec is, or a warning; one that is named and missing stops before anything is measured."""
    if arguments.trtexec == "no":
        return None, []
    try:
        return trtexec.find_trtexec(arguments.trtexec), []
    except InputError as error:
        if arguments.trtexec or arguments.builder == "trtexec":
            raise
        return None, ["trtexec's own numbers were not measured: {}".format(error)]


def _carried_out(session: Session) -> Document:
    command = session.arguments.command
    if command == "verify":
        return {"result": verify(session)[0], "warnings": module.warnings()}
    if command in ("bench", "all"):
        benchmark(session)
        return session.measured
    return {"result": {"run": run, "predict": predict, "sample": sample}[command](session)}


def _circumstances(session: Session) -> Document:
    document = session.manifest.document
    return {
        "artifact": {name: document.get(name) for name in ("name", "target", "profile", "options", "precision")},
        "runtime": {
            "tensorrt": str(session.trt.__version__),
            "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
        },
        "device": module.facts(),
    }


def _compared(
    outputs: NDArray[np.float32], expected: NDArray[np.float32], document: Dict[str, Any], precision: str
) -> Dict[str, Any]:
    """Return how far the golden outputs agree.

    Raises:
        GateError: further apart than the manifest allows, or another class where the first leads by more than that.
    """
    if outputs.shape != expected.shape:
        raise GateError(
            "golden outputs ({}) have shape {}; built with {}".format(precision, outputs.shape, expected.shape)
        )
    allowed, step = float(document["golden"]["max_steps"]), float(document["output"]["step"])
    difference = np.abs(outputs.astype(np.float64) - expected.astype(np.float64)) / step
    largest = float(difference.max()) if np.isfinite(difference).all() else float("inf")
    if largest > allowed + ROUNDING_STEPS:
        raise GateError(
            "golden outputs ({}) differ by up to {:.2f} output steps; {:g} are allowed".format(
                precision, largest, allowed
            )
        )
    return {
        "golden_samples": len(outputs),
        "largest_steps": largest,
        "max_steps": allowed,
        "identical_outputs": float((outputs == expected).mean()),
    }


def _child_command(arguments: argparse.Namespace) -> List[str]:
    command = [sys.executable, str(Path(sys.argv[0]).resolve()), "sample", "--builder", arguments.builder]
    for name in ("cache", "trtexec", "dla_core", "workspace_mb", "level", "affinity"):
        value = getattr(arguments, name)
        if value is not None:
            command += ["--{}".format(name.replace("_", "-")), str(value)]
    return command


def _stay_on(cpus: str) -> None:
    try:
        os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    except (ValueError, OSError) as error:
        raise InputError("--affinity {}: {}; wanted are numbers of CPUs: 4,5".format(cpus, error)) from error


def _plan(arguments: argparse.Namespace) -> bench.Plan:
    """Return how to measure; limits of all processes together are shared out among them."""
    processes = arguments.processes
    return bench.Plan(
        processes=processes,
        samples=max(arguments.samples, -(-arguments.min_samples // processes)),
        seconds=arguments.seconds / processes,
        max_seconds=arguments.max_seconds,
        rest_seconds=arguments.rest,
        name=arguments.name,
    )


def _add_protocol(command: argparse.ArgumentParser) -> None:
    """Add what `edgedistill bench` asks every target's runner for."""
    command.add_argument("--min-samples", type=_positive, default=1, help="inferences of each precision, at least")
    command.add_argument("--seconds", type=float, default=0.0, help="of inference of each precision, at least (0)")
    command.add_argument("--rest", type=float, default=0.0, help="seconds of rest before each process (0)")
    command.add_argument("--name", default="local", help="how the answer calls this module (local)")
    command.add_argument("--mode", choices=("burst",), default="burst", help="several short processes")
    command.add_argument("--threads", type=int, choices=(1,), default=1, help="one thread hands work to the GPU")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:  # noqa: ANN401 - never returns
        raise InputError(message)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("{} is not at least 1".format(value))
    return value


def _parser() -> _Parser:
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="all | verify | bench | predict | run")
    listed = {name: commands.add_parser(name) for name in ("all", "verify", "bench", "predict", "run", "sample")}
    for command in listed.values():
        command.add_argument("--builder", choices=("python", "trtexec"), default="python", help="what builds engines")
        command.add_argument("--cache", help="folder of engines (~/.cache/edgedistill/engines)")
        command.add_argument("--trtexec", help="where trtexec is; `no`: measure without it (JetPack's places)")
        command.add_argument("--dla-core", type=int, help="accelerator to run on (0 where it was built for one)")
        command.add_argument("--workspace-mb", type=_positive, default=2048, help="memory for the builder (2048)")
        command.add_argument("--level", type=int, default=3, help="builder optimization level, 0 to 5 (3)")
    for name in ("predict", "run", "sample"):
        listed[name].add_argument("--precision", choices=PRECISIONS, default="int8", help="which engine (int8)")
    samples = listed["predict"].add_mutually_exclusive_group(required=True)
    samples.add_argument("--raw", help=".npy of raw samples")
    samples.add_argument("--text", action="append", help="a raw text; may be given several times")
    listed["run"].add_argument("--inputs", required=True, help=".npy of preprocessed inputs")
    listed["run"].add_argument("--outputs", required=True, help=".npy to write")
    listed["run"].add_argument("--start", type=int, default=0, help="first input (0)")
    listed["run"].add_argument("--stop", type=int, help="input after the last one (all)")
    for name in ("all", "bench"):
        listed[name].add_argument("--processes", type=_positive, default=5, help="fresh processes each (5)")
        listed[name].add_argument("--timeout", type=float, default=600.0, help="seconds for one run of trtexec (600)")
        listed[name].add_argument("--power-mode", type=int, help="switch to this nvpmodel mode first (root)")
        listed[name].add_argument("--fix-clocks", action="store_true", help="run jetson_clocks first (root)")
        _add_protocol(listed[name])
    for name in ("all", "bench", "sample"):
        listed[name].add_argument("--samples", type=_positive, default=500, help="inferences of each process (500)")
        listed[name].add_argument("--max-seconds", type=float, default=1200.0, help="end each process anyway (1200)")
        listed[name].add_argument("--affinity", help="CPUs to stay on: 4,5")
    listed["sample"].add_argument("--seconds", type=float, default=0.0, help="of inference, at least (0)")
    return parser
