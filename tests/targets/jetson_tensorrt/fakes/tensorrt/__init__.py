"""Stands in for TensorRT's Python package in tests: 8.6, 10.3 and 11.4, by `FAKE_TENSORRT`; faults by `FAKE_FAULT`.

A plan is the ONNX file behind a line of JSON. It is "run" by ONNX Runtime on the memory that the fake CUDA library
hands out. What a version has removed is missing here too, so that a call of it fails.
"""

import ctypes
import enum
import json
import os

import numpy as np
import onnx
import onnxruntime

__version__ = os.environ.get("FAKE_TENSORRT", "10.3.0.30")
MAJOR = int(__version__.split(".")[0])
FAULT = os.environ.get("FAKE_FAULT", "")
MAGIC = b"fake plan\n"


class Flag(enum.IntEnum):
    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


class NetworkDefinitionCreationFlag:
    if MAJOR < 11:
        EXPLICIT_BATCH = Flag.EXPLICIT_BATCH
    if MAJOR >= 10:
        STRONGLY_TYPED = Flag.STRONGLY_TYPED


class BuilderFlag:
    GPU_FALLBACK = "GPU_FALLBACK"
    if MAJOR < 11:
        FP16, INT8, PREFER_PRECISION_CONSTRAINTS = "FP16", "INT8", "PREFER_PRECISION_CONSTRAINTS"


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class ProfilingVerbosity(enum.Enum):
    DETAILED = 2


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class LayerInformationFormat(enum.Enum):
    JSON = 1


class DeviceType(enum.Enum):
    DLA = 1


class ILogger:
    class Severity(enum.Enum):
        ERROR = 1

    def __init__(self):
        pass


if MAJOR < 11:

    class IInt8EntropyCalibrator2:
        def __init__(self):
            pass


class ParserError:
    def __init__(self, text):
        self.text = text

    def desc(self):
        return self.text


class Network:
    def __init__(self, flags):
        self.flags, self.content = flags, b""


class OnnxParser:
    def __init__(self, network, logger):
        self.network, self.errors = network, []

    def parse(self, content):
        if FAULT == "parse":
            self.errors = ["Assertion failed: shiftIsAllZeros(zeroPoint)"]
            return False
        opset = onnx.load_from_string(content).opset_import[0].version
        if MAJOR < 10 and opset > 17:
            self.errors = [f"opset {opset} is beyond this parser"]
            return False
        self.network.content = content
        return True

    @property
    def num_errors(self):
        return len(self.errors)

    def get_error(self, index):
        return ParserError(self.errors[index])


class TimingCache:
    def __init__(self, content):
        self.content = content

    def serialize(self):
        return b"timing " + __version__.encode()


class Config:
    def __init__(self):
        self.flags, self.cache = set(), None

    def set_flag(self, flag):
        self.flags.add(flag)

    def set_memory_pool_limit(self, pool, size):
        assert pool is MemoryPoolType.WORKSPACE
        assert size > 0

    def create_timing_cache(self, content):
        return TimingCache(content)

    def set_timing_cache(self, cache, ignore_mismatch):
        self.cache = cache
        return not cache.content or cache.content == cache.serialize()

    def get_timing_cache(self):
        return self.cache


class Builder:
    def __init__(self, logger):
        self.logger = logger

    def create_network(self, flags):
        wanted = 1 << Flag.EXPLICIT_BATCH
        assert MAJOR >= 10 or flags & wanted, "8.x needs EXPLICIT_BATCH"
        return Network(flags)

    def create_builder_config(self):
        return Config()

    def build_serialized_network(self, network, config):
        if FAULT == "build":
            self.logger.log(ILogger.Severity.ERROR, "Could not find any implementation for node conv2d")
            return None
        strong = MAJOR >= 11 or (MAJOR == 10 and network.flags & 1 << Flag.STRONGLY_TYPED)
        assert not (strong and config.flags & {"INT8", "FP16"}), "a strongly typed network takes no type flags"
        calibrator = getattr(config, "int8_calibrator", None)
        head = {"strong": bool(strong), "flags": sorted(config.flags), "calibrated": calibrator is not None}
        if calibrator is not None:
            assert calibrator.read_calibration_cache().startswith(b"TRT-")
        return plan_of(network.content, head)


class Runtime:
    def __init__(self, logger):
        self.logger = logger

    def deserialize_cuda_engine(self, plan):
        if FAULT == "deserialize" or not plan.startswith(MAGIC):
            self.logger.log(ILogger.Severity.ERROR, "Version tag does not match")
            return None
        return Engine(plan)


class Engine:
    def __init__(self, plan):
        _, _, content = plan.split(b"\n", 2)
        self.model = onnx.load_from_string(content)
        settings = onnxruntime.SessionOptions()
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        settings.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
        self.tensors = [*self.session.get_inputs(), *self.session.get_outputs()]

    @property
    def num_io_tensors(self):
        return len(self.tensors)

    def get_tensor_name(self, index):
        return self.tensors[index].name

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if name == self.tensors[0].name else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name):
        return next(item.shape for item in self.tensors if item.name == name)

    def get_tensor_dtype(self, name):
        return next(item.type for item in self.tensors if item.name == name)

    def create_execution_context(self):
        return Context(self)

    def create_engine_inspector(self):
        return Inspector(self)


class Inspector:
    def __init__(self, engine):
        self.engine = engine

    def get_engine_information(self, kind):
        assert kind is LayerInformationFormat.JSON
        return json.dumps(layer_information(self.engine.model))


class Context:
    def __init__(self, engine):
        self.engine, self.addresses = engine, {}

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        if FAULT == "enqueue":
            return False
        feed, result = self.engine.tensors
        sample = np.zeros(feed.shape, nptype(feed.type))
        ctypes.memmove(sample.ctypes.data, self.addresses[feed.name], sample.nbytes)
        (values,) = self.engine.session.run([result.name], {feed.name: sample})
        if FAULT == "golden":
            values = values[:, ::-1].copy()
        ctypes.memmove(self.addresses[result.name], values.ctypes.data, values.nbytes)
        return True


def nptype(kind):
    return {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int32)": np.int32}[kind]


def plan_of(content, head):
    return MAGIC + json.dumps(head).encode() + b"\n" + content


def layer_information(model):
    """Return the inspector's document in the style of this version, each product a layer of its own."""
    layers = []
    quantized = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        kind = "Int8" if quantized and FAULT != "float-layer" else "Half"
        style = (
            "Thirty-two wide channel vectorized row major Int8 format" if kind == "Int8" else "Row major FP16 format"
        )
        tensor = {"Datatype": kind, "Format": "N/A"} if MAJOR >= 11 else {"Format/Datatype": style}
        layers.append(
            {
                "Name": f"{node.name} + relu" if MAJOR < 10 else f"{node.name}_myl0_1",
                "LayerType": "CaskConvolution" if MAJOR < 10 else "correlation",
                "Inputs": [{"Name": node.input[0], **tensor}],
                "Metadata": "" if MAJOR < 10 else f"[ONNX Layer: {node.name}]",
            }
        )
    return {"Layers": layers, **({"I/O Tensors": []} if MAJOR >= 11 else {"Bindings": ["input", "logits"]})}
