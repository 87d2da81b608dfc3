"""Chooses the scales around an addition so that no sum falls exactly between two codes.

Runtimes round such a tie as their kernel happens to: ONNX Runtime 1.32 adds floats on x86-64
(`MlasQLinearAddKernelHelper`, half to even after the zero point is added, with the errors of three float32 operations)
and multiplies 22-bit integers on ARM (half away from zero). With scales of few bits, such as fp16 ones, about one sum
in a thousand is a tie, and two machines disagree about it. So the scales are chosen such that there is none:

Let u be a power of two, both input scales multiples of u and the output scale an odd multiple m * u. A sum of codes
times scales is then N * u, in output units N / m; a tie would need 2 N = (2 k + 1) m, even on the left and odd on the
right. The nearest sum lies 1 / (2 m) from a tie, which is more than either kernel's error while m is below 2^11.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgedistill.quantize.annotate import origin
from edgedistill.quantize.fake import ActivationQuantizer
from edgedistill.quantize.margins import keep_margins
from edgedistill.quantize.patterns import ATEN, Role, operands, role_of
from edgedistill.quantize.spec import ScaleFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import fx

BITS = 11  # significant bits of an fp16 number: a multiple below 2^11 of a power of two is one
OUTPUT_BITS = 10  # of the multiple m, where nothing asks for more
SOURCE_BITS = 7  # least ones of an input's multiple: its scale moves by less than 1 %


def avoid_ties(graph: fx.GraphModule) -> None:
    """Move the scales of every quantized addition by less than 1 %, so that no sum is a tie; then see to `margins`.

    Inputs much smaller than the sum (by more than 2^4) may move more. Powers of two are left as they are: their ties
    can't be avoided.

    Args:
        graph: an annotated, calibrated graph; the scales of its quantizers are changed.
    """
    units: dict[ActivationQuantizer, int] = {}
    outputs: set[ActivationQuantizer] = set()
    for sources, output in _additions(graph):
        if output.spec.scale_format is ScaleFormat.POWER_OF_TWO:
            continue
        exponent = _unit_exponent(sources, output, units)
        for source in sources:
            if source not in units:
                units[source] = _to_multiple(source, exponent)
        units[output] = _to_odd_multiple(output, exponent)
        outputs.add(output)
    keep_margins(graph, {item: (exponent, 2 if item in outputs else 1) for item, exponent in units.items()})


def _additions(graph: fx.GraphModule) -> Iterator[tuple[list[ActivationQuantizer], ActivationQuantizer]]:
    """Yield the quantizers of every addition's inputs and output, in graph order."""
    modules = dict(graph.named_modules())
    for node in graph.graph.nodes:
        if node.target is not ATEN.add.Tensor or role_of(node) is not Role.JOINED:
            continue
        readers = [user for user in node.users if user.op == "call_module"]
        readers += [user for absorbed in node.users for user in absorbed.users if role_of(absorbed) is Role.ACTIVATION]
        outputs = [modules.get(str(reader.target)) for reader in readers]
        sources = [modules.get(str(origin(argument).target)) for argument in operands(node)]
        quantizers = [item for item in (*sources, *outputs) if isinstance(item, ActivationQuantizer)]
        if len(quantizers) == 3:  # noqa: PLR2004 - two inputs and one output; else the sum stays in float
            yield quantizers[:2], quantizers[2]


def _unit_exponent(
    sources: list[ActivationQuantizer], output: ActivationQuantizer, units: dict[ActivationQuantizer, int]
) -> int:
    """Return the exponent of u: small enough for every scale, and no larger than what earlier additions have fixed."""
    top = _exponent(output)
    wanted = [top - (OUTPUT_BITS - 1)]
    wanted += [units[source] for source in sources if source in units]
    wanted += [_exponent(source) - (SOURCE_BITS - 1) for source in sources if source not in units]
    return max(min(wanted), top - (BITS - 1))


def _exponent(quantizer: ActivationQuantizer) -> int:
    return math.frexp(float(quantizer.scale))[1] - 1


def _to_multiple(quantizer: ActivationQuantizer, exponent: int) -> int:
    """Give a quantizer a scale that is a multiple of 2^exponent, and return the exponent of its lowest set bit."""
    exponent = max(exponent, _exponent(quantizer) - (BITS - 1))
    multiple = _below_ceiling(max(1, round(math.ldexp(float(quantizer.scale), -exponent))), quantizer, exponent, step=1)
    quantizer.set_scale(math.ldexp(multiple, exponent))
    return exponent + (multiple & -multiple).bit_length() - 1


def _to_odd_multiple(quantizer: ActivationQuantizer, exponent: int) -> int:
    """Give a quantizer a scale that is an odd multiple of 2^exponent, and return the exponent."""
    multiple = _below_ceiling(int(math.ldexp(float(quantizer.scale), -exponent)) | 1, quantizer, exponent, step=2)
    quantizer.set_scale(math.ldexp(multiple, exponent))
    return exponent


def _below_ceiling(multiple: int, quantizer: ActivationQuantizer, exponent: int, *, step: int) -> int:
    """Return the multiple, or a smaller one where a code would stand for more than the clamp before it allows."""
    first, last = quantizer.spec.activation_codes
    limit = math.inf if quantizer.ceiling is None else quantizer.ceiling
    while multiple > step and math.ldexp(multiple, exponent) * (last - first) > limit:
        multiple -= step
    return multiple
