"""The moving average of a model's weights."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of weights and buffers; whole numbers are copied.

    The decay of update n is at most (1 + n) / (10 + n), so that the random start is soon forgotten: the rule
    of TensorFlow's ExponentialMovingAverage.

    Args:
        model: its state dictionary is averaged.
        decay: share of the old average that each update keeps, 0 to below 1.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self._decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, *, count: int) -> None:
        """Take in the model's present weights; `count` is the number of updates before, 0, 1, ..."""
        share = 1 - min(self._decay, (1 + count) / (10 + count))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.tensors[name].lerp_(tensor, share)
            else:
                self.tensors[name].copy_(tensor)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to an average that was saved."""
        for name, tensor in tensors.items():
            self.tensors[name].copy_(tensor)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Give the model the average for a while, and then its own weights back."""
        own = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        model.load_state_dict(self.tensors)
        try:
            yield
        finally:
            model.load_state_dict(own)
