"""Balancing the terms of a loss: each pulls at the student as strongly as its weight says, whatever its own scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EVERY_STEPS = 16  # one measurement costs a backward pass for each term
DECAY = 0.9
FURTHEST = 1e4


class GradientBalance(nn.Module):
    """Factors that bring the gradient norms of several terms to that of one of them, the reference.

    The norm is that of a term's gradient with respect to all weights of the student, as a moving average over
    measurements. A term multiplied by its factor and its weight then pulls weight times as strongly as the reference
    does at weight 1; the reference itself stays as it is, so that the learning rate means what it meant.
    Sources: Esser et al. 2020, arXiv:2012.09841, equation 7 (the ratio of norms, and its limits); Défossez et al.
    2022, arXiv:2210.13438, section 3.4 (moving averages of the norms, any number of terms).

    Its averages are buffers: they are checkpointed, and a run that was killed goes on with the same factors.

    Args:
        terms: how many terms there are.
        reference: which of them is the reference, from 0.
    """

    norms: Tensor

    def __init__(self, terms: int, *, reference: int) -> None:
        super().__init__()
        self.register_buffer("norms", torch.zeros(terms, dtype=torch.float64))
        self._reference = reference

    @staticmethod
    def is_due(step: int) -> bool:
        """Say whether to measure in a step: in each of the first ones, then now and then."""
        return step < EVERY_STEPS or step % EVERY_STEPS == 0

    def measure(self, losses: Sequence[Tensor], parameters: Iterable[Tensor]) -> None:
        """Add the gradient norms of the terms, not yet weighted, to the averages.

        Args:
            losses: scalars, one for each term; their graph is kept.
            parameters: the student's weights.
        """
        wanted = [parameter for parameter in parameters if parameter.requires_grad]
        norms = torch.stack([_gradient_norm(loss, wanted) for loss in losses])
        self.norms.mul_(DECAY).add_(norms, alpha=1 - DECAY)

    def factors(self) -> list[float]:
        """Return the factor of each term: 1 of the reference, of a term without a gradient, and before measuring."""
        reference = float(self.norms[self._reference])
        if not reference:
            return [1.0] * len(self.norms)
        return [min(max(reference / norm, 1 / FURTHEST), FURTHEST) if norm else 1.0 for norm in self.norms.tolist()]


def _gradient_norm(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Return the length of a loss's gradient, scalar, float64; 0 of one that depends on none of the parameters."""
    if not loss.requires_grad:
        return torch.zeros((), dtype=torch.float64)
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    squares = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
    return torch.stack(squares).sum().sqrt() if squares else torch.zeros((), dtype=torch.float64)
