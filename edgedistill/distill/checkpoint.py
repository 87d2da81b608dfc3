"""Training checkpoints: a file that holds a whole state or counts as absent."""

from __future__ import annotations

import hashlib
import io
import logging
from typing import TYPE_CHECKING, TypedDict, cast

import torch

from edgedistill.durable import write_durably

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

MAGIC = b"edgedistill.checkpoint/1\n"
DIGEST_BYTES = hashlib.sha256().digest_size

logger = logging.getLogger(__name__)


class TrainingState(TypedDict):
    """All that a training needs to go on: tensors, numbers and text only.

    `step` is the next one; `loss_sum` is over the present epoch's `loss_count` steps so far; `points` are the
    epochs' (epoch, loss, accuracy, learning rate); `average` is empty without a moving average.
    """

    step: int
    loss_sum: float
    loss_count: int
    points: list[tuple[float, float, float | None, float]]
    model: dict[str, Tensor]
    extra: dict[str, Tensor]
    optimizer: dict[str, object]
    average: dict[str, Tensor]


def save_checkpoint(path: Path, state: TrainingState, *, key: str) -> None:
    """Write a state durably; a reader sees the old file or the new one.

    Raises:
        ResourceError: the disk is full.
    """
    buffer = io.BytesIO()
    torch.save({"key": key, "state": dict(state)}, buffer)
    content = buffer.getvalue()
    write_durably(path, MAGIC + hashlib.sha256(content).digest() + content)


def load_checkpoint(path: Path, *, key: str) -> TrainingState | None:
    """Return the state in a file; None if there is no file, or a damaged one, or one of another training."""
    content = _content(path)
    if content is None:
        return None
    saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if saved["key"] != key:
        logger.warning("checkpoint '%s' is of another training; this one starts anew", path)
        return None
    return cast("TrainingState", saved["state"])


def _content(path: Path) -> bytes | None:
    """Return what follows the checksum, if that is right: only our own bytes reach `torch.load`."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    body = content[len(MAGIC) + DIGEST_BYTES :]
    if content[: -len(body)] != MAGIC + hashlib.sha256(body).digest():
        logger.warning("checkpoint '%s' is damaged; the training starts anew", path)
        return None
    return body
