"""Ensembles: several teachers whose probabilities are averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgedistill.models.callable_teacher import AnswersOnly

if TYPE_CHECKING:
    from collections.abc import Sequence


class EnsembleTeacher(AnswersOnly):
    """Teachers that answer together: the weighted arithmetic mean of their class probabilities.

    Source: Hinton et al. 2015, arXiv:1503.02531, section 5 (the arithmetic mean of the members' predictions).

    Args:
        members: each maps inputs to logits (batch, classes).
        weights: above 0, as many; only their proportions count.
    """

    def __init__(self, members: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        shares = torch.tensor(list(weights), dtype=torch.float64)
        self._shares = shares / shares.sum()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs to the logarithm of the mean probabilities (batch, classes), float32; softmax gives them back."""
        logs = torch.stack([torch.log_softmax(member(inputs).double(), 1) for member in self.members])
        return torch.logsumexp(logs + self._shares.log().reshape(-1, 1, 1), 0).float()
