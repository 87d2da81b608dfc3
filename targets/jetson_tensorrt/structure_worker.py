"""Parses and builds one ONNX file with TensorRT-RTX, in a process of its own, and prints what came of it as JSON.

    python structure_worker.py MODEL.onnx SM86

A process of its own, because a Q or DQ with a computed scale makes TensorRT-RTX 1.7 crash while building. It is started
by `structure.py` and needs onnx and tensorrt-rtx; neither a GPU nor a driver.
"""

from __future__ import annotations

import json
import re
import sys
import time

import onnx
import tensorrt_rtx as trt

DUMP = "Layers:"  # begins the verbose message that lists every kernel; log text, so the version is pinned
KERNEL = re.compile(r"LayerType: (\w+), Inputs: \[(.*?)\], Constants: \[(.*?)\], Outputs: \[(.*?)\], TacticName")
DATA_TYPE = re.compile(r"Datatype: (\w+)")
ORIGIN = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
ARGUMENTS = 3


class CollectingLogger(trt.ILogger):  # type: ignore[misc] # the package has no types
    """Keeps what TensorRT says."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.messages: list[tuple[str, str]] = []

    def log(self, severity: object, message: str) -> None:
        """Keep one message."""
        self.messages.append((getattr(severity, "name", str(severity)), message))


def built(path: str, capability: str) -> dict[str, object]:
    """Return what parser and builder say of a file: version, errors, kernels with types and the nodes they compute."""
    logger = CollectingLogger()
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    result: dict[str, object] = {"version": trt.__version__, "capability": capability, "built": False, "kernels": []}
    result["parsed"] = parser.parse(_named(path))
    result["errors"] = [_described(parser.get_error(index)) for index in range(parser.num_errors)]
    if result["parsed"]:
        start = time.monotonic()
        plan = builder.build_serialized_network(network, _configured(builder, network, capability))
        result["build_s"] = time.monotonic() - start
        result["built"] = plan is not None
        result["kernels"] = _kernels(logger)
    result["messages"] = [text for severity, text in logger.messages if severity in ("ERROR", "INTERNAL_ERROR")]
    result["warnings"] = [text for severity, text in logger.messages if severity == "WARNING"][:20]
    return result


def _named(path: str) -> bytes:
    """Return the model with every node named after its first output, so that a kernel tells what it computes."""
    model = onnx.load(path)
    for index, node in enumerate(model.graph.node):
        node.name = next((name for name in node.output if name), f"node_{index}")
    return bytes(model.SerializeToString())


def _configured(builder: trt.Builder, network: trt.INetworkDefinition, capability: str) -> trt.IBuilderConfig:
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0)
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    if any(-1 in tuple(item.shape) for item in inputs):
        profile = builder.create_optimization_profile()
        for item in inputs:
            shape = tuple(1 if size == -1 else size for size in item.shape)
            profile.set_shape(item.name, shape, shape, shape)
        config.add_optimization_profile(profile)
    return config


def _described(error: trt.ParserError) -> dict[str, str]:
    return {"code": str(error.code()), "text": error.desc(), "node": error.node_name()}


def _kernels(logger: CollectingLogger) -> list[dict[str, object]]:
    dump = next((text for _, text in logger.messages if text.startswith(DUMP)), "")
    kernels = []
    for line in dump.splitlines():
        found = KERNEL.search(line)
        if found:
            kernels.append(
                {
                    "kind": found.group(1),
                    "inputs": DATA_TYPE.findall(found.group(2)),
                    "constants": DATA_TYPE.findall(found.group(3)),
                    "outputs": DATA_TYPE.findall(found.group(4)),
                    "nodes": ORIGIN.findall(line),
                }
            )
    return kernels


if __name__ == "__main__":
    if len(sys.argv) != ARGUMENTS:
        sys.exit(2)
    print(json.dumps(built(sys.argv[1], sys.argv[2])))  # noqa: T201 - its answer
