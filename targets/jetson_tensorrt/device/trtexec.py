"""The program `trtexec` of every TensorRT from 8.5 to 11: its arguments, and the files that it writes.

The arguments are a pure function of version, form and options. Source: trtexec's own sources of 8.6, 10.3, 10.13 and
11.1 (samples/common/sampleOptions.cpp, sampleReporting.cpp).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, cast

from edgedistill.targets.jetson_tensorrt.device.answer import InputError, TensorRtError

if TYPE_CHECKING:
    from edgedistill.targets.jetson_tensorrt.device.manifest import Version

PLACES = ("/usr/src/tensorrt/bin/trtexec", "/usr/bin/trtexec", "/usr/local/bin/trtexec", "/opt/tensorrt/bin/trtexec")
STRONGLY_TYPED_ALWAYS: Version = (11, 0)
STRONGLY_TYPED_BY_FLAG: Version = (10, 0)
TIMES = ("startComputeMs", "endComputeMs", "h2dMs", "computeMs", "d2hMs", "latencyMs")
LAST_CHARACTERS = 400
LARGEST_JSON_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Options:
    """What the user may choose of an engine.

    Args:
        workspace_mb: memory the builder may use for kernels that need some.
        dla_core: deep-learning accelerator to build for; none means the GPU.
        level: how long the builder looks for kernels, 0 to 5.
        warm_up_ms: before anything is counted.
        seconds: at least so long.
        iterations: at least so many.
    """

    workspace_mb: int = 2048
    dla_core: Optional[int] = None
    level: int = 3
    warm_up_ms: int = 2000
    seconds: int = 10
    iterations: int = 200


def precision_arguments(version: Version, form: Dict[str, Any]) -> List[str]:
    """Return the arguments that choose the types of a form.

    Raises:
        InputError: this TensorRT cannot build it.
    """
    if form["typing"] == "strong" and version >= STRONGLY_TYPED_ALWAYS:
        return []
    if form["typing"] == "strong" and version >= STRONGLY_TYPED_BY_FLAG:
        return ["--stronglyTyped"]
    if version >= STRONGLY_TYPED_ALWAYS:
        raise InputError("'{}' needs types chosen by the builder, which TensorRT 11 does not do".format(form["file"]))
    return ["--int8", "--fp16"] if form["precision"] == "int8" else ["--fp16"]


def build_arguments(
    version: Version, form: Dict[str, Any], options: Options, *, folder: Path, plan: Path, cache: Path, layers: Path
) -> List[str]:
    """Return the arguments with which trtexec builds an engine and does not run it."""
    arguments = [
        "--onnx={}".format(folder / str(form["file"])),
        "--saveEngine={}".format(plan),
        *precision_arguments(version, form),
        "--memPoolSize=workspace:{}".format(options.workspace_mb),
        "--builderOptimizationLevel={}".format(options.level),
        "--timingCacheFile={}".format(cache),
        "--profilingVerbosity=detailed",
        "--exportLayerInfo={}".format(layers),
        "--skipInference",
    ]
    if form["calibration"]:
        arguments += ["--calib={}".format(folder / str(form["calibration"])), "--precisionConstraints=prefer"]
    if options.dla_core is not None:
        arguments += ["--useDLACore={}".format(options.dla_core), "--allowGPUFallback"]
    return arguments


def run_arguments(version: Version, options: Options, *, plan: Path, times: Path) -> List[str]:
    """Return the arguments with which trtexec measures an engine; data stays on the device."""
    arguments = ["--loadEngine={}".format(plan)]
    if version < STRONGLY_TYPED_ALWAYS:  # 11 does so by itself
        arguments += ["--useCudaGraph", "--useSpinWait", "--noDataTransfers"]
    if options.dla_core is not None:
        arguments += ["--useDLACore={}".format(options.dla_core)]
        arguments = [argument for argument in arguments if argument != "--useCudaGraph"]
    return [
        *arguments,
        "--warmUp={}".format(options.warm_up_ms),
        "--duration={}".format(options.seconds),
        "--iterations={}".format(options.iterations),
        "--exportTimes={}".format(times),
    ]


def profile_arguments(version: Version, options: Options, *, plan: Path, profile: Path) -> List[str]:
    """Return the arguments with which trtexec measures each layer; such times are no latency."""
    arguments = ["--loadEngine={}".format(plan), "--dumpProfile", "--exportProfile={}".format(profile)]
    if version < STRONGLY_TYPED_ALWAYS:
        arguments.append("--separateProfileRun")
    if options.dla_core is not None:
        arguments.append("--useDLACore={}".format(options.dla_core))
    return [*arguments, "--iterations={}".format(options.iterations)]


def find_trtexec(named: Optional[str], places: Sequence[str] = PLACES) -> Path:
    """Return where trtexec is.

    Raises:
        InputError: it is not where the user said, or else in none of JetPack's places nor on PATH.
    """
    for place in [named] if named else places:
        if Path(str(place)).is_file():
            return Path(str(place))
    if named is None and shutil.which("trtexec"):
        return Path(str(shutil.which("trtexec")))
    looked = named or ", ".join(places)
    raise InputError(
        "trtexec not found ({}); JetPack's package libnvinfer-bin has it; or name it: --trtexec".format(looked)
    )


def call(program: Path, arguments: Sequence[str], *, timeout_s: float) -> str:
    """Run trtexec and return what it said.

    Raises:
        InputError: it may not be executed.
        TensorRtError: no end in time, or an exit code.
    """
    command = [str(program), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - the program that the user has installed or named
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise TensorRtError("trtexec gave no answer after {:g} s".format(timeout_s)) from error
    except OSError as error:
        raise InputError("trtexec cannot be started: {}".format(error)) from error
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        raise TensorRtError("trtexec ended with {}: {}".format(done.returncode, _last(said)))
    return said


def times_from(path: Path) -> List[Dict[str, float]]:
    """Return the rows of a file of --exportTimes: one per inference, milliseconds, warm-up not among them.

    Raises:
        TensorRtError: there is no file, or it was cut short.
    """
    document = _json(path)
    if not isinstance(document, list) or not document:
        raise TensorRtError("'{}' has no rows".format(path.name))
    rows = []
    for row in document:
        missing = [name for name in TIMES if not isinstance(row, dict) or not isinstance(row.get(name), (int, float))]
        if missing:
            raise TensorRtError("'{}' has a row without {}".format(path.name, ", ".join(missing)))
        rows.append({name: float(row[name]) for name in TIMES})
    return rows


def profile_from(path: Path) -> List[Dict[str, Any]]:
    """Return the layers of a file of --exportProfile: name, mean milliseconds, share of the whole in percent.

    Names are not escaped in the file, so a quotation mark in one is mended first.

    Raises:
        TensorRtError: there is no file, or it was cut short.
    """
    document = _json(path)
    if not isinstance(document, list):
        raise TensorRtError("'{}' is no list".format(path.name))
    layers = [row for row in document if isinstance(row, dict) and "name" in row]
    wanted = ("averageMs", "percentage")
    if not layers or any(not isinstance(row.get(name), (int, float)) for row in layers for name in wanted):
        raise TensorRtError("'{}' has no layers".format(path.name))
    return [
        {"name": str(row["name"]), "average_ms": float(row["averageMs"]), "percent": float(row["percentage"])}
        for row in layers
    ]


def layers_from(path: Path) -> Dict[str, Any]:
    """Return the document of a file of --exportLayerInfo.

    Raises:
        TensorRtError: there is no file, or it was cut short.
    """
    document = _json(path)
    if not isinstance(document, dict) or not isinstance(document.get("Layers"), list):
        raise TensorRtError("'{}' has no Layers".format(path.name))
    return cast("Dict[str, Any]", document)


def version_from(text: str) -> Tuple[int, ...]:
    """Return a version's numbers: (10, 3, 0) for "10.3.0.30" or "v100300" as trtexec prints it.

    Raises:
        InputError: it is no version.
    """
    digits = text.strip().lstrip("v").split("+")[0].split(".")
    if len(digits) == 1 and digits[0].isdigit() and len(digits[0]) >= 4:  # noqa: PLR2004 - 8602 is 8.6.2
        number = int(digits[0])
        # 10 and later: two digits each for minor and patch
        return (
            (number // 10000, number // 100 % 100, number % 100)
            if number >= 10**5
            else (number // 1000, number // 100 % 10, number % 100)
        )
    try:
        return tuple(int(part) for part in digits[:3])
    except ValueError as error:
        raise InputError("'{}' is no version of TensorRT".format(text)) from error


def _json(path: Path) -> Any:  # noqa: ANN401 - JSON of any form, looked at by the caller
    if not path.is_file():
        raise TensorRtError("trtexec wrote no '{}'".format(path.name))
    if path.stat().st_size > LARGEST_JSON_BYTES:
        raise TensorRtError("'{}' has {} bytes".format(path.name, path.stat().st_size))
    text = path.read_text("utf-8", errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return json.loads("\n".join(_mended(line) for line in text.splitlines()))
    except ValueError as error:
        raise TensorRtError("'{}' is cut short or no JSON: {}".format(path.name, error)) from error


def _mended(line: str) -> str:
    """Escape what stands inside the name of a layer: trtexec writes names as they are."""
    start, end = line.find('"name" : "'), line.rfind('", "timeMs"')
    if start < 0 or end < 0:
        return line
    begin = start + len('"name" : "')
    return line[:begin] + line[begin:end].replace("\\", "\\\\").replace('"', '\\"') + line[end:]


def _last(said: str) -> str:
    errors = [line for line in said.splitlines() if "[E]" in line or "Error" in line]
    return (" | ".join(errors[-3:]) or said.strip())[-LAST_CHARACTERS:]
