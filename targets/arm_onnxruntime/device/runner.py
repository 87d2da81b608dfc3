"""Runs an artifact on the board it was built for. Needs Python 3.8 or newer, numpy and onnxruntime.

    python3 runner.py verify                                  files and golden samples are what was built
    python3 runner.py predict --raw SAMPLES.npy               classes of raw samples
    python3 runner.py predict --text "some text"              class of a raw text; may be given several times
    python3 runner.py run --inputs X.npy --outputs Y.npy      outputs of preprocessed inputs
    python3 runner.py bench                                   latency on this machine, after verify

It stands in the artifact's folder beside manifest.json and arrays.py (for texts: tokens.py). Each command prints one
JSON document on standard output. Exit codes: 0 done, 1 a bug of ours, 2 the user's input, 3 the artifact is not what
was built or a result would be worthless, 130 interrupted.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import importlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    Document = dict[str, object]

HERE = Path(__file__).resolve().parent
SCHEMA = "edgedistill.runner/1"
ARTIFACT_SCHEMA = "edgedistill.artifact/1"
LARGEST_MANIFEST_BYTES = 4 * 2**20
NEEDED_KEYS = ("classes", "files", "golden", "input", "model", "output", "preprocessing")
BLOCK_BYTES = 2**20
ROUNDING_STEPS = 1e-3  # outputs are float32, so that one step may read as a little more than one
SAMPLES_FOR_P90, SAMPLES_FOR_P99 = 44, 459  # bound the quantile at 99 % confidence, whatever the distribution
ENOUGH_SAMPLES, ENOUGH_SECONDS = 1024, 60.0
PROCESS_TIMEOUT_S = 3600


class RunnerError(Exception):
    """A bug of ours, unless a subclass says otherwise."""

    exit_code = 1


class InputError(RunnerError):
    """Something the user gave cannot be used."""

    exit_code = 2


class GateError(RunnerError):
    """The artifact is not what was built, or a result would be worthless."""

    exit_code = 3


class Manifest:
    """What manifest.json says, as far as the runner needs it.

    Raises:
        InputError: there is none, or it is not one of ours.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "manifest.json"
        if not path.is_file():
            raise InputError(f"'{folder}' has no manifest.json; the runner belongs into the artifact's folder")
        if path.stat().st_size > LARGEST_MANIFEST_BYTES:
            raise InputError(f"'{path}' has {path.stat().st_size} bytes; no manifest is that large")
        try:
            document = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise InputError(f"'{path}' is no JSON: {error}") from error
        if not isinstance(document, dict) or document.get("schema") != ARTIFACT_SCHEMA:
            raise InputError(f"'{path}' is no manifest of schema {ARTIFACT_SCHEMA}")
        missing = [name for name in NEEDED_KEYS if name not in document]
        if missing:
            raise InputError(f"'{path}' lacks {', '.join(missing)}")
        self.folder = folder
        self.document: dict[str, Any] = document

    @property
    def model(self) -> Path:
        """Path of the model."""
        return self.folder / str(self.document["model"])

    @property
    def preprocessing_files(self) -> Sequence[str]:
        """Files that make model inputs: the program first, then what it reads."""
        preprocessing = self.document["preprocessing"]
        if preprocessing.get("kind") == "text":
            return ("tokens.py", str(preprocessing["tokenizer"]))
        return ("arrays.py",)

    @property
    def session_options(self) -> dict[str, str]:
        """Entries of the session's configuration on this machine."""
        by_machine = self.document.get("session_options_by_machine", {})
        return {**self.document.get("session_options", {}), **by_machine.get(platform.machine(), {})}

    def check_files(self) -> int:
        """Check the path, then the size, then the hash of every file, and return how many there are.

        Raises:
            InputError: a path leaves the folder, or a file the runner reads is not listed.
            GateError: a file is missing or is not the one that was built.
        """
        files = self.document["files"]
        for needed in (self.document["model"], "golden.npz", *self.preprocessing_files):
            if needed not in files:
                raise InputError(f"manifest: '{needed}' is not in `files`, so that nothing vouches for it")
        for name, entry in files.items():
            path = self._path(name)
            if not path.is_file():
                raise GateError(f"file '{name}' is missing")
            size = path.stat().st_size
            if size != entry["size_bytes"]:
                raise GateError(f"file '{name}' has {size} bytes; it was built with {entry['size_bytes']}")
        for name, entry in files.items():
            if _sha256(self._path(name)) != entry["sha256"]:
                raise GateError(f"file '{name}' has another sha256 than the manifest says; copy the artifact again")
        return len(files)

    def _path(self, name: str) -> Path:
        pure = PurePosixPath(name)
        path = self.folder / pure
        inside = self.folder.resolve() in path.resolve().parents
        if pure.is_absolute() or ".." in pure.parts or not inside:
            raise InputError(f"manifest: '{name}' leaves the artifact's folder")
        return path


class Model:
    """The model in ONNX Runtime.

    Args:
        manifest: of the artifact.
        threads: of the runtime.
    """

    def __init__(self, manifest: Manifest, *, threads: int) -> None:
        runtime = _onnxruntime()
        settings = runtime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        for key, value in manifest.session_options.items():
            settings.add_session_config_entry(key, value)
        providers = ["CPUExecutionProvider"]
        self._session = runtime.InferenceSession(str(manifest.model), settings, providers=providers)
        self._input = manifest.document["input"]

    def outputs(self, inputs: NDArray[Any], *, batch: int) -> NDArray[np.float32]:
        """Return the outputs (n, ...) of preprocessed inputs (n, *input_shape), float32.

        Raises:
            InputError: the inputs have another dtype or shape.
        """
        wanted = tuple(self._input["shape"][1:])
        dtype = self._input["dtype"]
        if inputs.dtype != np.dtype(dtype) or inputs.shape[1:] != wanted or not len(inputs):
            raise InputError(f"inputs: found {inputs.dtype} {inputs.shape}; wanted {dtype} (n, *{wanted}), n > 0")
        starts = range(0, len(inputs), batch)
        return np.concatenate([self.infer(inputs[start : start + batch]) for start in starts])

    def infer(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return the outputs of one call of the runtime."""
        outputs = self._session.run(None, {self._input["name"]: np.ascontiguousarray(inputs)})
        return cast("NDArray[np.float32]", outputs[0])


def is_emulated() -> bool:
    """Tell whether this is an emulated board; who starts it says so."""
    return os.environ.get("EDGEDISTILL_EMULATED") == "1"


def verify(manifest: Manifest, *, threads: int) -> Document:
    """Check every file, then the golden samples, and return what was found.

    Raises:
        GateError: a file is not the one that was built, the preprocessing computes other bits here, or the model
            computes other outputs.
    """
    files = manifest.check_files()
    with np.load(str(manifest.folder / "golden.npz"), allow_pickle=False) as golden:
        raw, inputs, expected = golden["raw"], golden["inputs"], golden["outputs"]
    found = _preprocessed(manifest, raw)
    if found.dtype != inputs.dtype or found.shape != inputs.shape or found.tobytes() != inputs.tobytes():
        raise GateError("golden samples: preprocessing on this machine gives other bits than where it was built")
    outputs = Model(manifest, threads=threads).outputs(inputs, batch=len(inputs))
    return {"files": files, "golden": _compared(outputs, expected, manifest.document)}


def run(manifest: Manifest, options: argparse.Namespace) -> Document:
    """Write the outputs of preprocessed inputs into a file.

    Raises:
        InputError: the inputs cannot be read, or have another shape.
    """
    manifest.check_files()
    inputs = _array(options.inputs)[options.start : options.stop]
    outputs = Model(manifest, threads=options.threads).outputs(inputs, batch=options.batch)
    into = Path(options.outputs)
    beside = into.with_name("." + into.name + ".partial")
    with beside.open("wb") as file:
        np.save(file, outputs)
    beside.replace(into)
    return {"n": len(outputs), "outputs": str(into), "shape": list(outputs.shape)}


def predict(manifest: Manifest, options: argparse.Namespace) -> Document:
    """Return the class of each raw sample, or its embedding where the model has no classes.

    Raises:
        InputError: the samples cannot be read, or have another dtype or shape.
    """
    manifest.check_files()
    raw = np.array(options.text) if options.text else _array(options.raw)
    inputs = _preprocessed(manifest, raw)
    outputs = Model(manifest, threads=options.threads).outputs(inputs, batch=options.batch)
    names = manifest.document["classes"]
    if not names:
        return {"n": len(outputs), "embeddings": [[float(value) for value in row] for row in outputs]}
    predictions = [
        {"class": names[int(row.argmax())], "index": int(row.argmax()), "output": float(row.max())} for row in outputs
    ]
    return {"n": len(predictions), "predictions": predictions}


def bench(manifest: Manifest, options: argparse.Namespace) -> Document:
    """Measure in fresh processes, one after the other, and return raw samples and their summary.

    Raises:
        GateError: this board is emulated, or the artifact is not what was built.
    """
    if is_emulated():
        raise GateError("this board is emulated, and the time an emulator takes says nothing of any device")
    verified = verify(manifest, threads=options.threads)
    command = [sys.executable, str(HERE / "runner.py"), "sample"]
    command += ["--samples", str(options.samples), "--threads", str(options.threads)]
    processes = [_sampled(command) for _ in range(options.processes)]
    return {
        "verified": verified,
        "threads": options.threads,
        "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "clock": "monotonic_ns",
        "scope": "one call of the runtime, batch 1: copies of input and output included, preprocessing not",
        "summary": summarised(processes),
        "processes": processes,
    }


def sample(manifest: Manifest, options: argparse.Namespace) -> Document:
    """Measure in this process: load, first inference, warm-up, steady state; nanoseconds.

    The warm-up is a tenth of the samples, at least 10; it is kept beside them. The model file is in the system's
    file cache when it is loaded, because its hash was checked.
    """
    manifest.check_files()
    with np.load(str(manifest.folder / "golden.npz"), allow_pickle=False) as golden:
        inputs = golden["inputs"]
    rows = [np.ascontiguousarray(inputs[index : index + 1]) for index in range(len(inputs))]
    _onnxruntime()  # importing it is no part of loading the model
    start = time.monotonic_ns()
    model = Model(manifest, threads=options.threads)
    load_ns = time.monotonic_ns() - start

    def infer(index: int) -> None:
        model.infer(rows[index % len(rows)])

    gc.disable()  # a collection is this process's own, not the model's
    return {
        "load_ns": load_ns,
        "first_ns": _durations(infer, 1)[0],
        "warmup_ns": _durations(infer, max(10, options.samples // 10)),
        "samples_ns": _durations(infer, options.samples),
    }


def summarised(processes: Sequence[Mapping[str, Any]]) -> Document:
    """Return medians and tails in milliseconds over the samples of all processes; none is removed."""
    pooled = np.concatenate([np.asarray(process["samples_ns"], np.int64) for process in processes])
    median = np.median(pooled)
    return {
        "n": len(pooled),
        "quick": bool(len(pooled) < ENOUGH_SAMPLES or pooled.sum() / 1e9 < ENOUGH_SECONDS),
        "cold_load_ms": float(np.median([process["load_ns"] for process in processes])) / 1e6,
        "first_inference_ms": float(np.median([process["first_ns"] for process in processes])) / 1e6,
        "p50_ms": float(median) / 1e6,
        "p90_ms": _tail_ms(pooled, 90, needed=SAMPLES_FOR_P90),
        "p99_ms": _tail_ms(pooled, 99, needed=SAMPLES_FOR_P99),
        "mad_ms": float(np.median(np.abs(pooled - median))) / 1e6,
    }


def _compared(
    outputs: NDArray[np.float32], expected: NDArray[np.float32], document: Mapping[str, Any]
) -> dict[str, object]:
    """Return how far the golden outputs agree.

    Raises:
        GateError: further apart than the manifest allows, or another class.
    """
    if outputs.shape != expected.shape:
        raise GateError(f"golden outputs have shape {outputs.shape}; they were built with {expected.shape}")
    allowed = float(document["golden"]["max_steps"])
    difference = np.abs(outputs.astype(np.float64) - expected.astype(np.float64)) / float(document["output"]["step"])
    largest = float(difference.max()) if np.isfinite(difference).all() else float("inf")
    if largest > allowed + ROUNDING_STEPS:
        raise GateError(f"golden outputs differ by up to {largest:.2f} output steps; {allowed:g} are allowed")
    changed = int((outputs.argmax(1) != expected.argmax(1)).sum())
    if changed and document["classes"]:  # the largest number of an embedding means nothing
        raise GateError(f"{changed} of {len(outputs)} golden samples are given another class")
    identical = float((outputs == expected).mean())
    return {"n": len(outputs), "largest_steps": largest, "max_steps": allowed, "identical_outputs": identical}


def _preprocessed(manifest: Manifest, raw: NDArray[Any]) -> NDArray[Any]:
    """Return model inputs, computed by the artifact's own arrays.py or tokens.py."""
    program, *assets = manifest.preprocessing_files
    place = str(manifest.folder / program)
    specification = importlib.util.spec_from_file_location("edgedistill_preprocessing", place)
    if specification is None or specification.loader is None:
        raise InputError(f"'{place}' cannot be loaded")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    folder = (manifest.folder,) if assets else ()
    try:
        inputs = module.preprocess(raw, manifest.document["preprocessing"], *folder)
    except ValueError as error:
        raise InputError(str(error)) from error
    return cast("NDArray[Any]", inputs)


def _onnxruntime() -> ModuleType:
    # Telemetry is on by default since ONNX Runtime 1.29; this has to be said before it is loaded.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise InputError(f"onnxruntime cannot be loaded ({error}); pip install onnxruntime") from error


def _array(place: str) -> NDArray[Any]:
    try:
        return cast("NDArray[Any]", np.load(place, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise InputError(f"array '{place}': {error}") from error


def _sampled(command: Sequence[str]) -> Document:
    done = subprocess.run(  # noqa: S603 - this very program, no shell
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PROCESS_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise RunnerError(f"a measuring process ended with {done.returncode}: {done.stdout[-400:]!r}")
    return cast("Document", json.loads(done.stdout)["result"])


def _durations(infer: Callable[[int], None], count: int) -> list[int]:
    clock = time.monotonic_ns
    durations = [0] * count
    for index in range(count):
        start = clock()
        infer(index)
        durations[index] = clock() - start
    return durations


def _tail_ms(samples_ns: NDArray[np.int64], percent: int, *, needed: int) -> float | None:
    if len(samples_ns) < needed:
        return None
    rank = -(-len(samples_ns) * percent // 100)  # the smallest sample that so many are not above
    return float(np.sort(samples_ns)[rank - 1]) / 1e6


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in _blocks(file.read):
            digest.update(block)
    return digest.hexdigest()


def _blocks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    block = read(BLOCK_BYTES)
    while block:
        yield block
        block = read(BLOCK_BYTES)


def _first_line(place: str) -> str | None:
    try:
        return Path(place).read_text("utf-8").strip()
    except OSError:
        return None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def _parser() -> _Parser:
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="verify | predict | run | bench")
    listed = {name: commands.add_parser(name) for name in ("verify", "predict", "run", "bench", "sample")}
    for command in listed.values():
        command.add_argument("--threads", type=_positive, default=1, help="threads of the runtime (1)")
    for name in ("predict", "run"):
        listed[name].add_argument("--batch", type=_positive, default=100, help="samples of one call (100)")
    samples = listed["predict"].add_mutually_exclusive_group(required=True)
    samples.add_argument("--raw", help=".npy of raw samples")
    samples.add_argument("--text", action="append", help="a raw text; may be given several times")
    listed["run"].add_argument("--inputs", required=True, help=".npy of preprocessed inputs, float32")
    listed["run"].add_argument("--outputs", required=True, help=".npy to write")
    listed["run"].add_argument("--start", type=int, default=0, help="first input (0)")
    listed["run"].add_argument("--stop", type=int, help="input after the last one (all)")
    listed["bench"].add_argument("--processes", type=_positive, default=5, help="fresh processes (5)")
    for name in ("bench", "sample"):
        listed[name].add_argument("--samples", type=_positive, default=500, help="inferences of each process (500)")
    return parser


def _carried_out(options: argparse.Namespace, manifest: Manifest) -> Document:
    if options.command == "verify":
        return verify(manifest, threads=options.threads)
    return {"run": run, "predict": predict, "bench": bench, "sample": sample}[options.command](manifest, options)


def _circumstances(manifest: Manifest) -> Document:
    document, runtime = manifest.document, _onnxruntime()
    return {
        "artifact": {
            **{name: document.get(name) for name in ("name", "target", "profile", "model", "precision")},
            "model_sha256": document["files"][document["model"]]["sha256"],
        },
        "runtime": {
            "onnxruntime": runtime.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "session_options": manifest.session_options,
        },
    }


def answer(arguments: Sequence[str]) -> tuple[Document, int]:
    """Carry out one command and return the document to print and the exit code."""
    head = {"schema": SCHEMA, "command": arguments[0] if arguments else None, "emulated": is_emulated()}
    try:
        options = _parser().parse_args(arguments)
        manifest = Manifest(HERE)
        result = _carried_out(options, manifest)
        return {**head, "ok": True, **_circumstances(manifest), "result": result}, 0
    except RunnerError as error:
        kind = type(error).__name__
        return {**head, "ok": False, "error": {"kind": kind, "message": str(error)}}, error.exit_code


def main() -> int:
    """Carry out the command line and print one JSON document."""
    try:
        document, code = answer(sys.argv[1:])
    except KeyboardInterrupt:
        return 130
    print(json.dumps(document))
    return code


if __name__ == "__main__":
    sys.exit(main())
