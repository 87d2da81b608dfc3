"""What a model's BatchNorm layers are given in one pass, whoever calls them: modules, functions, an exported graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

CALLS = (functional.batch_norm, torch.ops.aten.batch_norm.default)
"""What modules and user code call, and what a graph of `torch.export` does; their first arguments differ in order."""


@dataclass(frozen=True)
class NormInput:
    """What one BatchNorm layer was given.

    Args:
        features: (batch, channels, ...), with a gradient where the model's input has one.
        running_mean: (channels,), that the layer has kept.
        running_var: (channels,), the same.
    """

    features: Tensor
    running_mean: Tensor
    running_var: Tensor


class RecordedNorms(TorchFunctionMode):
    """Records, while the context lasts, what every BatchNorm layer with running statistics is given."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[NormInput] = []

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Call a function of torch; note the arguments of a batch normalisation."""
        del types
        named = dict(kwargs or {})
        if func in CALLS:
            self._record(func, args, named)
        return func(*args, **named)

    def _record(self, func: Callable[..., object], args: tuple[object, ...], named: dict[str, object]) -> None:
        order = (
            ("input", "running_mean", "running_var")
            if func is functional.batch_norm
            else ("input", "weight", "bias", "running_mean", "running_var")
        )
        given = dict(zip(order, args, strict=False)) | named
        features, mean, var = (given.get(name) for name in ("input", "running_mean", "running_var"))
        if isinstance(features, Tensor) and isinstance(mean, Tensor) and isinstance(var, Tensor):
            self.inputs.append(NormInput(features, mean, var))


def norm_inputs(model: nn.Module, inputs: Tensor) -> tuple[object, list[NormInput]]:
    """Return a model's outputs, and what its BatchNorm layers were given on the way, in order."""
    with RecordedNorms() as recorded:
        outputs = model(inputs)
    return outputs, recorded.inputs
