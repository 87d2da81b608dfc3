"""Runs an artifact on the board it was built for. Needs Python 3.8 or newer, numpy and onnxruntime.

    python3 runner.py verify                                  files and golden samples are what was built
    python3 runner.py predict --raw SAMPLES.npy               classes of raw samples
    python3 runner.py predict --raw SAMPLES.npy --masks M.npy classes of their pixels, of a model of segmentation
    python3 runner.py predict --text "some text"              class of a raw text; may be given several times
    python3 runner.py predict --wav YES.wav                   class of a recorded sound; as above
    python3 runner.py run --inputs X.npy --outputs Y.npy      outputs of preprocessed inputs
    python3 runner.py bench                                   latency on this machine, after verify
    python3 runner.py pair --against FOLDER                   this artifact and another one, in turns

It stands in the artifact's folder beside manifest.json and arrays.py (or tokens.py, sound.py). Each command prints one
JSON document on standard output. Exit codes: 0 done, 1 a bug of ours, 2 the user's input, 3 the artifact is not what
was built or a result would be worthless, 130 interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import json
import os
import platform
import sys
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    Document = dict[str, object]

HERE = Path(__file__).resolve().parent
SCHEMA = "edgedistill.runner/1"
ARTIFACT_SCHEMA = "edgedistill.artifact/1"
LARGEST_MANIFEST_BYTES = 4 * 2**20
NEEDED_KEYS = ("classes", "files", "golden", "input", "model", "output", "preprocessing")
BLOCK_BYTES = 2**20
CODE = ("answers.py", "measuring.py", "sensors.py", "timing.py")  # that this program loads


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
        return ("sound.py" if preprocessing.get("kind") == "audio" else "arrays.py",)

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
        code = CODE if self.folder == HERE else ()  # nothing but the preprocessing is loaded from another artifact
        for needed in (self.document["model"], "golden.npz", *code, *self.preprocessing_files):
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
    answers = _beside(HERE, "answers")
    try:
        return {"files": files, "golden": answers.compared(outputs, expected, manifest.document)}
    except answers.WrongOutputsError as error:
        raise GateError(str(error)) from error


def run(manifest: Manifest, options: argparse.Namespace) -> Document:
    """Write the outputs of preprocessed inputs into a file.

    Raises:
        InputError: the inputs cannot be read, or have another shape.
    """
    manifest.check_files()
    inputs = _array(options.inputs)[options.start : options.stop]
    outputs = Model(manifest, threads=options.threads).outputs(inputs, batch=options.batch)
    _write_array(Path(options.outputs), outputs)
    return {"n": len(outputs), "outputs": options.outputs, "shape": list(outputs.shape)}


def _write_array(into: Path, values: NDArray[Any]) -> None:
    beside = into.with_name("." + into.name + ".partial")
    with beside.open("wb") as file:
        np.save(file, values)
    beside.replace(into)


def predict(manifest: Manifest, options: argparse.Namespace) -> Document:
    """Return the class of each raw sample, its embedding where the model has no classes, or how many pixels have which.

    Raises:
        InputError: the samples cannot be read, have another dtype or shape, or masks are asked for of a classifier.
    """
    manifest.check_files()
    if options.wav and manifest.preprocessing_files[0] != "sound.py":
        raise InputError("--wav: this model does not hear")
    maps = manifest.document.get("task") == "segmentation"
    if options.masks and not maps:
        raise InputError("--masks: this model gives no class for each pixel")
    named = options.wav or options.text
    inputs = _preprocessed(manifest, np.array(named) if named else _array(options.raw))
    outputs = Model(manifest, threads=options.threads).outputs(inputs, batch=options.batch)
    names, answers = manifest.document["classes"], _beside(HERE, "answers")
    if not maps:
        return cast("Document", answers.named(outputs, names))
    masks = outputs.argmax(1)
    if options.masks:
        _write_array(Path(options.masks), masks.astype(np.uint16))
    return {**answers.counted(masks, names), **({"masks": options.masks} if options.masks else {})}


def bench(manifest: Manifest, options: argparse.Namespace) -> Document:
    """Measure in fresh processes, one after the other, and return the recording: raw samples and what stands beside.

    Raises:
        GateError: this board is emulated, the artifact is not what was built, or a process did not end well.
    """
    (facts,) = _proved([manifest], options)
    return _timing("bench", str(HERE / "runner.py"), options, {**_facts(manifest), **facts})


def pair(manifest: Manifest, options: argparse.Namespace) -> Document:
    """Measure this artifact and another, which take turns in the same fresh processes.

    Raises:
        GateError: as `bench`.
    """
    found = _proved([manifest, Manifest(Path(options.against).resolve())], options)
    facts = {name: [item[name] for item in found] for name in ("artifact", "verified")}
    return _timing("pair", str(HERE / "runner.py"), options, {**_facts(manifest), **facts})


def sample(manifest: Manifest, options: argparse.Namespace) -> Document:
    """Measure in this process; what `bench` starts."""
    manifest.check_files()
    _onnxruntime()  # importing it is no part of loading the model
    return _timing("sample", options, lambda: _inference(manifest, options.threads))


def turns(manifest: Manifest, options: argparse.Namespace) -> Document:
    """Measure two artifacts in this process, in turns; what `pair` starts."""
    both = (manifest, Manifest(Path(options.against).resolve()))
    for item in both:
        item.check_files()
    _onnxruntime()
    return _timing("turns", options, [partial(_inference, item, options.threads) for item in both])


def _timing(function: str, *arguments: object) -> Document:
    """Call a function of timing.py."""
    timing, measuring, sensors = (_beside(HERE, name) for name in ("timing", "measuring", "sensors"))
    try:
        return cast("Document", getattr(timing, function)(*arguments, measuring=measuring, sensors=sensors))
    except measuring.MeasuringError as error:
        raise GateError(str(error)) from error


def _proved(manifests: Sequence[Manifest], options: argparse.Namespace) -> list[Document]:
    """Verify artifacts, and return what a recording says of each."""
    if is_emulated() and not options.rehearse:
        raise GateError(
            "this board is emulated, and the time an emulator takes says nothing of any device; "
            "--rehearse carries the protocol out and marks the result as emulated"
        )
    found: list[Document] = []
    for manifest in manifests:
        golden = cast("Mapping[str, Any]", verify(manifest, threads=options.threads)["golden"])
        proof = {"golden_samples": golden["n"], **{key: value for key, value in golden.items() if key != "n"}}
        found.append({"artifact": manifest.document, "verified": proof})
    return found


def _inference(manifest: Manifest, threads: int) -> Callable[[int], object]:
    with np.load(str(manifest.folder / "golden.npz"), allow_pickle=False) as golden:
        inputs = golden["inputs"]
    rows = [np.ascontiguousarray(inputs[index : index + 1]) for index in range(len(inputs))]
    model = Model(manifest, threads=threads)
    return lambda index: model.infer(rows[index % len(rows)])


def _facts(manifest: Manifest) -> Document:
    """Return what a recording says besides the artifact."""
    return {
        "version": _onnxruntime().__version__,
        "options": manifest.session_options,
        "shape": [1, *manifest.document["input"]["shape"][1:]],
        "emulated": is_emulated(),
    }


def _preprocessed(manifest: Manifest, raw: NDArray[Any]) -> NDArray[Any]:
    """Return model inputs, computed by the artifact's own arrays.py or tokens.py."""
    program, *assets = manifest.preprocessing_files
    module = _beside(manifest.folder, Path(program).stem)
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


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(partial(file.read, BLOCK_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()


def _beside(folder: Path, name: str) -> ModuleType:
    """Return a loose Python file of an artifact as a module; its hash was checked."""
    place = str(folder / f"{name}.py")
    specification = importlib.util.spec_from_file_location(f"edgedistill_{name}", place)
    if specification is None or specification.loader is None:
        raise InputError(f"'{place}' cannot be loaded")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def _cpus(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _parser() -> _Parser:
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="verify | predict | run | bench | pair")
    names = ("verify", "predict", "run", "bench", "pair", "sample", "turns")
    listed = {name: commands.add_parser(name) for name in names}
    for command in listed.values():
        command.add_argument("--threads", type=_positive, default=1, help="threads of the runtime (1)")
    for name in ("predict", "run"):
        listed[name].add_argument("--batch", type=_positive, default=100, help="samples of one call (100)")
    samples = listed["predict"].add_mutually_exclusive_group(required=True)
    samples.add_argument("--raw", help=".npy of raw samples")
    listed["predict"].add_argument("--masks", help=".npy to write the class of each pixel to, uint16 (segmentation)")
    samples.add_argument("--text", action="append", help="a raw text; may be given several times")
    samples.add_argument("--wav", action="append", help="a recorded sound; may be given several times")
    listed["run"].add_argument("--inputs", required=True, help=".npy of preprocessed inputs, float32")
    listed["run"].add_argument("--outputs", required=True, help=".npy to write")
    listed["run"].add_argument("--start", type=int, default=0, help="first input (0)")
    listed["run"].add_argument("--stop", type=int, help="input after the last one (all)")
    for name in ("bench", "pair", "sample", "turns"):
        _add_measuring(listed[name], name)
    return parser


def _add_measuring(command: argparse.ArgumentParser, name: str) -> None:
    add = command.add_argument
    add("--affinity", type=_cpus, help="CPUs to stay on: 4,5 (wherever the system likes)")
    add("--seconds", type=float, default=60.0, help="of inference of all processes, at least (60)")
    if name in ("pair", "turns"):
        add("--against", required=True, help="folder of the other artifact")
    if name == "turns":
        add("--starts-with", type=int, choices=(0, 1), default=0, help="which is loaded first (0)")
    if name in ("bench", "sample"):
        add("--samples", type=_positive, default=100, help="inferences of each process, at least (100)")
    add("--max-seconds", type=float, default=1200.0, help="after which a process ends anyway (1200)")
    if name in ("bench", "pair"):
        add("--min-samples", type=_positive, default=1024, help="inferences of all processes, at least (1024)")
        add("--processes", type=_positive, default=6 if name == "pair" else 5, help="fresh processes (5; pair: 6)")
        add("--rest", type=float, default=1.0, help="seconds of rest before each process (1)")
        add("--mode", choices=("burst", "sustained"), default="burst", help="a label; sustained: --processes 1")
        add("--name", help="how the result calls this machine (its host name)")
        add("--rehearse", action="store_true", help="on an emulated board: go on, and mark the result")


def _carried_out(options: argparse.Namespace, manifest: Manifest) -> Document:
    if options.command == "verify":
        return verify(manifest, threads=options.threads)
    commands = {"run": run, "predict": predict, "bench": bench, "pair": pair, "sample": sample, "turns": turns}
    return commands[options.command](manifest, options)


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
        kind, code = type(error).__name__, error.exit_code
        return {**head, "ok": False, "error": {"kind": kind, "message": str(error)}}, code


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
