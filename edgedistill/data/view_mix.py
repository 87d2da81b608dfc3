"""Mixup of model inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.transfer_set import Batch

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mix_in(inputs: NDArray[np.float32], others: NDArray[np.float32], mix: NDArray[np.float32]) -> None:
    """Replace inputs by `(1 - mix) * input + mix * other` (arXiv:1710.09412, equation 1), in place."""
    share = mix.reshape(-1, *[1] * (inputs.ndim - 1))
    inputs *= 1 - share
    others *= share
    inputs += others


def unmixed(inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> Batch:
    """Return a batch without mixup."""
    return Batch(inputs=inputs, labels=labels, mixed_labels=labels, mix=np.zeros(len(labels), np.float32))
