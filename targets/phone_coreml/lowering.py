"""How coremltools translates `edgedistill::quantize` and `edgedistill::dequantize`: each stored number as it is.

coremltools 9.0 has rules for torch's own quantize operators only. With rules for ours, codes, scales and zero points
go into the package unchanged, and every operation has the name of the program's tensor. Its rule for GELU, which loses
the approximation, is replaced.
"""

from __future__ import annotations

import functools
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedistill.quantize.operators import NAMESPACE
from edgedistill.targets.phone_coreml.deployment import Deployment
from edgedistill.targets.phone_coreml.vendor import part

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Conversion:
    """What the rules need to know of the program that is being converted.

    Args:
        names: name of the program's tensor by the name of the input that holds its scale.
        deployment: decides which operation holds a weight.
    """

    names: Mapping[str, str]
    deployment: Deployment


CURRENT: ContextVar[Conversion] = ContextVar("conversion")


@functools.cache
def register() -> None:
    """Teach coremltools our two operators and GELU's approximation; once in a process."""
    registry = part("coremltools.converters.mil.frontend.torch")
    for name, rule in (("quantize", _quantize), ("dequantize", _dequantize)):
        registry.register_torch_op(rule, torch_alias=[f"{NAMESPACE}::{name}", f"{NAMESPACE}.{name}"])
    registry.register_torch_op(_gelu, torch_alias=["gelu"], override=True)


def _gelu(context: Any, node: Any) -> None:  # noqa: ANN401 - coremltools has no types
    """Translate GELU with its approximation, which torch gives by name and coremltools 9.0 reads by place only."""
    ops = part("coremltools.converters.mil.frontend.torch.ops")
    (values,) = ops._get_inputs(context, node, expected=1)  # noqa: SLF001 - how its own rules read them
    (given,) = ops._get_kwinputs(context, node, "approximate", default=[None])  # noqa: SLF001 - as above
    mode = "TANH_APPROXIMATION" if getattr(given, "val", given) == "tanh" else "EXACT"
    context.add(_builder().gelu(x=values, mode=mode, name=node.name))


def _quantize(context: Any, node: Any) -> None:  # noqa: ANN401 - coremltools has no types
    values, scale, zero_point, axis = _arguments(context, node)
    code = str(zero_point.val.dtype)
    channel = {"axis": int(axis.val)} if np.ndim(scale.val) else {}
    context.add(
        _builder().quantize(
            input=values,
            scale=scale.val,
            zero_point=zero_point.val,
            output_dtype=code,
            name=_name(node),
            **channel,
        ),
        node.name,
    )


def _dequantize(context: Any, node: Any) -> None:  # noqa: ANN401 - as above
    codes, scale, zero_point, axis = _arguments(context, node)
    if codes.val is None:
        channel = {"axis": int(axis.val)} if np.ndim(scale.val) else {}
        name = f"{_name(node)}_real"
        made = _builder().dequantize(input=codes, scale=scale.val, zero_point=zero_point.val, name=name, **channel)
    else:
        made = _weight(codes.val, scale.val, zero_point.val, int(axis.val), _name(node))
    context.add(made, node.name)


def _weight(codes: Any, scale: Any, zero_point: Any, axis: int, name: str) -> Any:  # noqa: ANN401 - as above
    """Return the operation that holds a weight; the one since iOS 18 has a scale of the weight's rank.

    Its offset is left out where it is 0; tables of embeddings are activations' codes, and have one.
    """
    if CURRENT.get().deployment is Deployment.IOS17:
        return _builder().constexpr_affine_dequantize(
            quantized_data=codes, scale=scale, zero_point=zero_point, axis=np.int32(axis), name=name
        )
    shape = [-1 if index == axis and np.ndim(scale) else 1 for index in range(np.ndim(codes))]
    offset = {"offset": np.reshape(zero_point, shape)} if np.any(zero_point) else {}
    return _builder().constexpr_blockwise_shift_scale(data=codes, scale=np.reshape(scale, shape), name=name, **offset)


def _arguments(context: Any, node: Any) -> list[Any]:  # noqa: ANN401 - as above
    return part("coremltools.converters.mil.frontend.torch.ops")._get_inputs(context, node, expected=4)  # type: ignore[no-any-return] # noqa: SLF001 - how its own rules read them


def _builder() -> Any:  # noqa: ANN401 - as above
    return part("coremltools.converters.mil").Builder


def _name(node: Any) -> str:  # noqa: ANN401 - as above
    return CURRENT.get().names[node.inputs[1]]
