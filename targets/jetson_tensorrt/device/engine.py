"""Builds, keeps, opens and runs an engine with TensorRT's Python package: 8.5, 8.6, 10 and 11.

The package is a parameter (`trt`) everywhere: `tensorrt` on the module, `tensorrt_rtx` where the build half is tested
without a GPU.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

import numpy as np

from edgedistill.targets.jetson_tensorrt.device.answer import InputError, TensorRtError
from edgedistill.targets.jetson_tensorrt.device.trtexec import version_from

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from edgedistill.targets.jetson_tensorrt.device.cuda import Cuda
    from edgedistill.targets.jetson_tensorrt.device.manifest import Version
    from edgedistill.targets.jetson_tensorrt.device.trtexec import Options

CACHE_VARIABLE = "EDGEDISTILL_ENGINES"
LAST_ERRORS = 3
TIMING_CACHE = "timing.cache"


def tensorrt() -> ModuleType:
    """Return TensorRT's Python package.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("tensorrt")
    except ImportError as error:
        raise InputError(
            "Python package tensorrt cannot be loaded ({}); JetPack's package python3-libnvinfer has it".format(error)
        ) from error


def version_of(trt: ModuleType) -> Version:
    """Return TensorRT's major and minor version."""
    numbers = version_from(str(trt.__version__))
    return numbers[0], numbers[1]


def cache_folder(named: Optional[str]) -> Path:
    """Return where engines are kept: named, `$EDGEDISTILL_ENGINES`, or `~/.cache/edgedistill/engines`.

    Raises:
        InputError: it cannot be written to.
    """
    folder = Path(named or os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "edgedistill" / "engines")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe-{}".format(os.getpid())
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise InputError(
            "engine folder '{}' cannot be written to ({}); name another: --cache".format(folder, error)
        ) from error
    return folder


def engine_key(facts: Dict[str, object]) -> str:
    """Return the name of an engine: a hash of everything that a plan depends on."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def plan_from_onnx(
    trt: ModuleType,
    onnx: Path,
    form: Dict[str, Any],
    options: Options,
    *,
    timing_cache: Optional[Path] = None,
    calibration: Optional[Path] = None,
    configure: Optional[Callable[[Any], None]] = None,
) -> bytes:
    """Return a serialized engine.

    Args:
        trt: TensorRT's Python package.
        onnx: the network's form.
        form: what the manifest says of it.
        options: of the build.
        timing_cache: read and written where there is one.
        calibration: calibration cache of a form without Q and DQ.
        configure: last word on the builder's configuration.

    Raises:
        TensorRtError: parser or builder refuse it.
    """
    logger = _logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt, form))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx.read_bytes()):
        errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise TensorRtError("the parser refuses '{}': {}".format(onnx.name, _joined(errors or logger.errors)))
    config = builder.create_builder_config()
    _choose_types(trt, config, form, calibration)
    _choose_engine(trt, config, options)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    kept = _timing_cache(config, timing_cache)
    if configure is not None:
        configure(config)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise TensorRtError("the builder gave no engine for '{}': {}".format(onnx.name, _joined(logger.errors)))
    if kept is not None and timing_cache is not None:
        write_whole(timing_cache, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


class Engine:
    """An engine in memory, with buffers for one input and one output.

    Args:
        trt: TensorRT's Python package.
        plan: a serialized engine of this very GPU and TensorRT.
        cuda: the GPU.
        dla_core: accelerator to run on; none means the GPU.

    Raises:
        TensorRtError: the plan cannot be read here.
    """

    def __init__(self, trt: ModuleType, plan: bytes, cuda: Cuda, *, dla_core: Optional[int] = None) -> None:
        logger = _logger(trt)
        self._trt, self._cuda = trt, cuda
        self._runtime = trt.Runtime(logger)
        if dla_core is not None:
            self._runtime.DLA_core = dla_core
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise TensorRtError("the engine cannot be read here: {}".format(_joined(logger.errors)))
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise TensorRtError("no memory to run the engine: {}".format(_joined(logger.errors)))
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        modes = {name: self._engine.get_tensor_mode(name) for name in names}
        self.input_name = next(name for name in names if modes[name] == trt.TensorIOMode.INPUT)
        self.output_name = next(name for name in names if modes[name] == trt.TensorIOMode.OUTPUT)
        self.input = self._host_array(self.input_name)
        self.output = self._host_array(self.output_name)
        self._addresses = {
            name: cuda.allocate(array.nbytes)
            for name, array in ((self.input_name, self.input), (self.output_name, self.output))
        }
        for name, address in self._addresses.items():
            self._context.set_tensor_address(name, address)

    def infer(self, sample: NDArray[Any]) -> NDArray[np.float32]:
        """Return the output of one batch: copies in, runs, copies out, waits."""
        np.copyto(self.input, sample)
        self.copy_in()
        self.enqueue()
        self.copy_out()
        self._cuda.synchronize()
        return self.output.astype(np.float32, copy=True)

    def copy_in(self) -> None:
        """Queue the copy of `input` to the device."""
        self._cuda.to_device(self._addresses[self.input_name], self.input)

    def copy_out(self) -> None:
        """Queue the copy of the result into `output`."""
        self._cuda.to_host(self.output, self._addresses[self.output_name])

    def enqueue(self) -> None:
        """Queue one inference on the data that is on the device.

        Raises:
            TensorRtError: TensorRT refuses.
        """
        if not self._context.execute_async_v3(self._cuda.stream):
            raise TensorRtError("TensorRT did not take the inference")

    def outputs(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return the outputs (n, ...) of preprocessed inputs (n, ...).

        Raises:
            InputError: another dtype or shape.
        """
        wanted = self.input.shape[1:]
        if inputs.shape[1:] != wanted or inputs.dtype != self.input.dtype or not len(inputs):
            found = "{} {}".format(inputs.dtype, inputs.shape)
            raise InputError("inputs: found {}; wanted {} (n, *{}), n > 0".format(found, self.input.dtype, wanted))
        return np.concatenate([self.infer(inputs[index : index + 1]) for index in range(len(inputs))])

    def information(self) -> Dict[str, Any]:
        """Return the engine inspector's document: every layer with the types of its tensors."""
        inspector = self._engine.create_engine_inspector()
        document = json.loads(inspector.get_engine_information(self._trt.LayerInformationFormat.JSON))
        return document if isinstance(document, dict) else {"Layers": []}

    def _host_array(self, name: str) -> NDArray[Any]:
        shape = tuple(int(size) for size in self._engine.get_tensor_shape(name))
        if any(size < 0 for size in shape):
            raise TensorRtError("'{}' has a free dimension; the artifact's forms have none".format(name))
        return np.zeros(shape, np.dtype(self._trt.nptype(self._engine.get_tensor_dtype(name))))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside and rename it, so that an interrupted run leaves none half-written."""
    beside = path.with_name(".{}.{}".format(path.name, os.getpid()))
    beside.write_bytes(content)
    beside.replace(path)


def _logger(trt: ModuleType) -> Any:  # noqa: ANN401 - a class of TensorRT's, made here
    """Return a logger that keeps errors instead of printing them."""

    class Logger(trt.ILogger):  # type: ignore[name-defined,misc] # of a package that is not here
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: List[str] = []

        def log(self, severity: object, message: str) -> None:
            if getattr(severity, "name", str(severity)) in ("ERROR", "INTERNAL_ERROR"):
                self.errors.append(message)

    return Logger()


def _network_flags(trt: ModuleType, form: Dict[str, Any]) -> int:
    flags = trt.NetworkDefinitionCreationFlag
    explicit = getattr(flags, "EXPLICIT_BATCH", None) if version_of(trt) < (10, 0) else None
    strong = getattr(flags, "STRONGLY_TYPED", None) if form["typing"] == "strong" else None
    return sum(1 << int(flag) for flag in (explicit, strong) if flag is not None)


def _choose_types(trt: ModuleType, config: Any, form: Dict[str, Any], calibration: Optional[Path]) -> None:  # noqa: ANN401 - TensorRT's
    """Allow the types of a form where TensorRT chooses; in a strongly typed network the file says them."""
    if form["typing"] == "strong" and hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        return
    wanted = ("FP16", "INT8") if form["precision"] == "int8" else ("FP16",)
    for name in wanted:
        flag = getattr(trt.BuilderFlag, name, None)
        if flag is None and version_of(trt) >= (10, 0):
            raise InputError("'{}' needs types chosen by the builder; this TensorRT has none".format(form["file"]))
        config.set_flag(flag)
    if calibration is not None:
        config.int8_calibrator = _calibrator(trt, calibration)
        config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)


def _choose_engine(trt: ModuleType, config: Any, options: Options) -> None:  # noqa: ANN401 - TensorRT's
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb * 2**20)
    if hasattr(config, "builder_optimization_level"):
        config.builder_optimization_level = options.level
    if options.dla_core is not None:
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = options.dla_core
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _calibrator(trt: ModuleType, cache: Path) -> Any:  # noqa: ANN401 - a class of TensorRT's, made here
    class Calibrator(trt.IInt8EntropyCalibrator2):  # type: ignore[name-defined,misc] # of a package that is not here
        def __init__(self) -> None:
            trt.IInt8EntropyCalibrator2.__init__(self)

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: List[str]) -> None:
            del names  # everything is in the cache

        def read_calibration_cache(self) -> bytes:
            return cache.read_bytes()

        def write_calibration_cache(self, content: bytes) -> None:
            del content  # the artifact's own stays as it is

    return Calibrator()


def _timing_cache(config: Any, path: Optional[Path]) -> Any:  # noqa: ANN401 - TensorRT's
    if path is None:
        return None
    held = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(held)
    if not config.set_timing_cache(cache, False) and held:  # of another GPU or version: begin anew
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _joined(errors: List[str]) -> str:
    return "; ".join(errors[-LAST_ERRORS:]) or "no reason given"
