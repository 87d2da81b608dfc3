"""Contrastive representation distillation: a sample's two embeddings are close, and far from other samples'."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.distill.losses.shapes import require_rank
from edgedistill.errors import DataError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALLEST = 1e-7


def contrastive_loss(scores: Tensor, *, samples: int) -> Tensor:
    """Return the noise-contrastive loss of one true pair against many false ones.

    Source: Tian et al. 2019, arXiv:1910.10699, equations 10 and 19: h = score / (score + N / M), summed over the
    pairs.

    Args:
        scores: (batch, 1 + negatives), above 0; the true pair's is the first.
        samples: M, the size of the transfer set: noise draws each of its samples with probability 1 / M.

    Returns:
        Scalar in nats, mean over the batch, above 0.

    Raises:
        ShapeError: there are no negatives.
    """
    require_rank(scores, 2, name="scores", wanted="(batch, 1 + negatives)")
    negatives = scores.shape[1] - 1
    if not negatives:
        raise ShapeError("scores", found=f"shape {tuple(scores.shape)}", wanted="(batch, 1 + negatives)")
    noise = negatives / samples
    true = (scores[:, 0] / (scores[:, 0] + noise + SMALLEST)).log()
    false = (noise / (scores[:, 1:] + noise + SMALLEST)).log()
    return -(true.sum() + false.sum()) / len(scores)


class ContrastiveMemory(nn.Module):
    """The learned and remembered parts: two linear embeddings, and both embeddings of every sample.

    Source: Tian et al. 2019, arXiv:1910.10699, section 3.2 and appendix. Paper's defaults: 128 dimensions, 16384
    negatives, temperature 0.07, momentum 0.5, weight 0.8. The normalising constants are set by the first batch.

    Args:
        student_shape: of one sample's features; flattened.
        teacher_shape: the same of the teacher.
        samples: size of the transfer set: the memory has a row for each.
        width: of an embedding.
        temperature: of a score.
        momentum: share of a remembered embedding that stays.
    """

    def __init__(
        self,
        student_shape: Sequence[int],
        teacher_shape: Sequence[int],
        *,
        samples: int,
        width: int = 128,
        temperature: float = 0.07,
        momentum: float = 0.5,
    ) -> None:
        super().__init__()
        self.temperature, self.momentum = temperature, momentum
        self.student_embedding = nn.Linear(math.prod(student_shape), width)
        self.teacher_embedding = nn.Linear(math.prod(teacher_shape), width)
        bound = math.sqrt(3 / width)
        self.student_memory: Tensor
        self.teacher_memory: Tensor
        self.constants: Tensor
        self.register_buffer("student_memory", torch.empty(samples, width).uniform_(-bound, bound))
        self.register_buffer("teacher_memory", torch.empty(samples, width).uniform_(-bound, bound))
        self.register_buffer("constants", torch.zeros(2))  # of the student's scores and of the teacher's; 0: not yet

    def forward(self, student_features: Tensor, teacher_features: Tensor, indices: Tensor, negatives: Tensor) -> Tensor:
        """Return the loss of both directions, and remember the batch's embeddings.

        Args:
            student_features: (batch, ...), floating point.
            teacher_features: (batch, ...), floating point; a gradient flows into its embedding only.
            indices: (batch,), int64: which samples they are.
            negatives: (batch, negatives), int64: samples to tell each of them from.

        Returns:
            Scalar in nats, mean over the batch.
        """
        student = functional.normalize(self.student_embedding(student_features.flatten(1)), dim=1)
        teacher = functional.normalize(self.teacher_embedding(teacher_features.detach().flatten(1)), dim=1)
        chosen = torch.cat([indices[:, None], negatives], 1)
        scores = (
            self._scores(student, self.teacher_memory, chosen),
            self._scores(teacher, self.student_memory, chosen),
        )
        if self.training:
            self._settle(scores)
        samples = len(self.student_memory)
        parts = [contrastive_loss(score / self.constants[place], samples=samples) for place, score in enumerate(scores)]
        if self.training:
            self._remember(indices, student, teacher)
        return parts[0] + parts[1]

    def _scores(self, embeddings: Tensor, memory: Tensor, chosen: Tensor) -> Tensor:
        """Return the scores (batch, 1 + negatives) of the chosen rows, by whichever way reads less memory."""
        if len(memory) < chosen.numel():  # copies, because the memory changes before the gradient is taken
            similar = (embeddings @ memory.clone().T).gather(1, chosen)
        else:
            similar = (memory[chosen] @ embeddings[:, :, None])[:, :, 0]
        return torch.exp(similar / self.temperature)

    @torch.no_grad()
    def _settle(self, scores: tuple[Tensor, Tensor]) -> None:
        """Set the constants from the first batch, once: the mean score times the number of samples."""
        if not self.constants.any():
            self.constants.copy_(torch.stack([score.mean() for score in scores]) * len(self.student_memory))

    @torch.no_grad()
    def _remember(self, indices: Tensor, student: Tensor, teacher: Tensor) -> None:
        for memory, new in ((self.student_memory, student), (self.teacher_memory, teacher)):
            mixed = memory[indices] * self.momentum + new * (1 - self.momentum)
            memory[indices] = functional.normalize(mixed, dim=1)


def drawn_negatives(indices: Tensor, labels: Tensor, *, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Return, for each sample, others to tell it from: of another class where classes are known.

    Source: Tian et al. 2019, arXiv:1910.10699, section 4: negatives of another class where labels are at hand. Drawn
    with replacement.

    Args:
        indices: (batch,), int64: the samples.
        labels: (samples,), int64: the class of every sample of the transfer set; below 0 where it is not known.
        count: negatives of each sample, at least 1.
        generator: of the draw; none: torch's own, which the training loop seeds at each step.

    Returns:
        (batch, count), int64: a sample of unknown class is told from any other sample.

    Raises:
        DataError: all samples are of one class, or there is one sample only.
    """
    order = torch.argsort(labels, stable=True)
    ordered = labels[order]
    own = labels[indices]
    # in the order of classes the others are what is left without one's own block
    start = torch.searchsorted(ordered, own)
    stop = torch.searchsorted(ordered, own, right=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    unknown = own < 0
    start, stop = torch.where(unknown, place[indices], start), torch.where(unknown, place[indices] + 1, stop)
    others = len(labels) - (stop - start)
    if not bool((others > 0).all()):
        raise DataError(
            "contrastive distillation", found="samples of one class only", wanted="samples of at least two classes"
        )
    draw = torch.rand(len(indices), count, generator=generator, dtype=torch.float64)
    rank = (draw * others[:, None]).long()
    return order[rank + (rank >= start[:, None]) * (stop - start)[:, None]]
