"""Optimizers as recipes name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgedistill.distill.distillation_oriented import DistillationOriented
from edgedistill.recipe import Distill, Optimizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from edgedistill.recipe import Training

MOMENTUM = 0.9


def optimizer_of(modules: Iterable[nn.Module], training: Training) -> torch.optim.Optimizer:
    """Return the optimizer of all trainable parameters of some modules; each step sets its learning rate."""
    groups = parameter_groups(modules, weight_decay=training.weight_decay)
    # Fused: small students have many small tensors, and one call per tensor costs five times as much.
    if training.optimizer is Optimizer.ADAMW:
        return torch.optim.AdamW(groups, training.learning_rate, fused=True)
    if training.optimizer is Optimizer.DOT:
        delta = training.dot_delta if isinstance(training, Distill) else 0.0
        return DistillationOriented(groups, training.learning_rate, momentum=MOMENTUM, delta=delta)
    return torch.optim.SGD(groups, training.learning_rate, momentum=MOMENTUM, nesterov=True, fused=True)


def parameter_groups(modules: Iterable[nn.Module], *, weight_decay: float) -> list[dict[str, object]]:
    """Return the groups: weights, which decay; norms, biases and vectors, which do not; and what has its own rate.

    A parameter with an attribute `learning_rate_factor` learns at that multiple of the learning rate and does not
    decay; each group says its multiple as `factor`.

    Source: He et al. 2018, arXiv:1812.01187, section 3.1.
    """
    decaying: dict[int, nn.Parameter] = {}
    own_rate: dict[float, dict[int, nn.Parameter]] = {}
    free: dict[int, nn.Parameter] = {}
    for module in (part for root in modules for part in root.modules()):
        # By name: there is no base class of all norms, and models bring their own.
        is_norm = "norm" in type(module).__name__.lower()
        for parameter in module.parameters(recurse=False):
            if parameter.requires_grad:
                factor = getattr(parameter, "learning_rate_factor", None)
                if factor is not None:
                    own_rate.setdefault(factor, {})[id(parameter)] = parameter
                    continue
                group = free if is_norm or parameter.ndim <= 1 else decaying
                group[id(parameter)] = parameter  # a shared parameter counts once
    return [
        {"params": list(decaying.values()), "weight_decay": weight_decay},
        {
            "params": [parameter for key, parameter in free.items() if key not in decaying],
            "weight_decay": 0.0,
        },
        *(
            {"params": list(parameters.values()), "weight_decay": 0.0, "factor": factor}
            for factor, parameters in own_rate.items()
        ),
    ]
