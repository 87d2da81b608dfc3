"""Says in which type each layer of an engine runs, from the engine's own layer information (JSON) of every version."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence

from edgedistill.targets.jetson_tensorrt.device.answer import GateError, TensorRtError

ORIGIN = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
NOT_MULTIPLYING = ("kgen", "reformat", "shuffle", "pointwise", "constant", "noop", "identity", "cast")
NAMED = 5


class Placement(NamedTuple):
    """Where the layers that are expected in INT8 are.

    Args:
        int8: names of those that run in INT8.
        floating: names of those that do not, with the type that was found.
        missing: names that no layer of the engine carries.
    """

    int8: List[str]
    floating: Dict[str, str]
    missing: List[str]


def placement(information: Mapping[str, Any], expected: Sequence[str]) -> Placement:
    """Return where the expected layers run.

    Args:
        information: document of the engine inspector or of --exportLayerInfo.
        expected: names of ONNX nodes.

    Raises:
        TensorRtError: the engine was built without detailed layer information.
    """
    layers = information.get("Layers", [])
    if layers and all(isinstance(layer, str) for layer in layers):
        raise TensorRtError("the engine has no detailed layer information: build it with profilingVerbosity=detailed")
    int8: List[str] = []
    floating: Dict[str, str] = {}
    missing: List[str] = []
    for name in expected:
        naming = [layer for layer in layers if isinstance(layer, dict) and name in _names(layer)]
        multiplying = [layer for layer in naming if _multiplies(layer)] or naming
        types = sorted({_input_type(layer) for layer in multiplying})
        if not multiplying:
            missing.append(name)
        elif types == ["int8"]:
            int8.append(name)
        else:
            floating[name] = ", ".join(item for item in types if item != "int8")
    return Placement(int8, floating, missing)


def require_int8(found: Placement) -> None:
    """Refuse an engine of which a layer that carries codes runs in float.

    Raises:
        GateError: it names the layers.
    """
    if found.floating:
        shown = ["{} ({})".format(name, kind) for name, kind in list(found.floating.items())[:NAMED]]
        raise GateError("{} layer(s) run in float, not in INT8: {}".format(len(found.floating), ", ".join(shown)))
    if found.missing:
        raise GateError(
            "{} layer(s) are not in the engine's layer information: {}".format(
                len(found.missing), ", ".join(found.missing[:NAMED])
            )
        )


def _names(layer: Mapping[str, Any]) -> List[str]:
    """Return the ONNX nodes that a layer computes: of its metadata, else of its name ("conv2d + relu")."""
    origins = ORIGIN.findall(str(layer.get("Metadata", "")))
    if origins:
        return [part.strip() for origin in origins for part in origin.split("\x1e")]
    return [part.strip() for part in re.split(r" \+ |\|\||,|\x1f", str(layer.get("Name", "")))]


def _multiplies(layer: Mapping[str, Any]) -> bool:
    kind = str(layer.get("LayerType", "")).lower()
    return not any(word in kind for word in NOT_MULTIPLYING)


def _input_type(layer: Mapping[str, Any]) -> str:
    """Return the type of a layer's first input: 8 and 10 write it into "Format/Datatype", 11 into "Datatype"."""
    for tensor in _tensors(layer):
        text = "{} {}".format(tensor.get("Format/Datatype", ""), tensor.get("Datatype", "")).lower()
        for name in ("int8", "fp8", "fp4", "int4", "fp16", "half", "bf16", "fp32", "float"):
            if name in text:
                return {"half": "fp16", "float": "fp32"}.get(name, name)
    return "unknown"


def _tensors(layer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for tensor in layer.get("Inputs", []):
        if isinstance(tensor, dict):
            yield tensor
