"""Learning from labels, where a batch may be mixed from two samples each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from edgedistill.distill.losses.shapes import require_rank
from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor


def mixed_label_loss(logits: Tensor, labels: Tensor, mixed_labels: Tensor, mix: Tensor) -> Tensor:
    """Return (1 - mix) · CE(logits, labels) + mix · CE(logits, mixed labels).

    Source: Zhang et al. 2017, arXiv:1710.09412, section 2. Without mixup (mix 0) it is plain cross-entropy.

    Args:
        logits: (batch, classes), floating point, not normalised.
        labels: (batch,), int64, 0 to classes - 1.
        mixed_labels: (batch,), int64: labels of the samples mixed in.
        mix: (batch,), floating point, 0 to 1: share of the sample mixed in.

    Returns:
        Scalar in nats, mean over the batch.

    Raises:
        ShapeError: the shapes do not go together.
    """
    require_rank(logits, 2, name="logits", wanted="(batch, classes)")
    for name, tensor in (("labels", labels), ("mixed labels", mixed_labels), ("mix", mix)):
        if tensor.shape != logits.shape[:1]:
            raise ShapeError(
                name, found=f"shape {tuple(tensor.shape)}", wanted=f"({len(logits)},) as the logits' batch"
            )
    log_probabilities = functional.log_softmax(logits, 1)
    own = log_probabilities.gather(1, labels[:, None])[:, 0]
    other = log_probabilities.gather(1, mixed_labels[:, None])[:, 0]
    return -(own + mix * (other - own)).mean()


def known_label_loss(logits: Tensor, labels: Tensor, mixed_labels: Tensor, mix: Tensor) -> Tensor:
    """Return `mixed_label_loss` over the samples whose labels are known, times their share of the batch.

    Args:
        logits: as there.
        labels: as there, or below 0 where the class is not known.
        mixed_labels: the same.
        mix: as there.

    Returns:
        Scalar in nats, mean over the batch, in which the other samples count for nothing; 0 where no label is known.

    Raises:
        ShapeError: the shapes do not go together.
    """
    known = (labels >= 0) & (mixed_labels >= 0)
    if known.all():
        return mixed_label_loss(logits, labels, mixed_labels, mix)
    if not known.any():
        return logits.sum() * 0
    share = known.to(logits.dtype).mean()
    return share * mixed_label_loss(logits[known], labels[known], mixed_labels[known], mix[known])
