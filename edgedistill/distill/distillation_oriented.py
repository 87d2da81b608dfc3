"""The distillation-oriented optimizer: task and distillation each with their own momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

TASK, DISTILLATION, ALL = "task", "distillation", "all"


class DistillationOriented(Optimizer):
    """Stochastic gradient descent with a smaller momentum for the task's gradient and a larger one for distillation's.

    With momentum m and difference d, in each step v_task = (m - d) · v_task + g_task + decay · weight, v_distillation =
    (m + d) · v_distillation + g_distillation, and weight -= learning rate · (v_task + v_distillation). Both losses
    otherwise keep each other from being minimised far. A parameter that the task does not reach, such as a projector's,
    has one velocity with momentum m; so has every parameter of a training without two kinds of losses, which is
    then plain momentum without Nesterov's correction.

    It costs a second backward pass through the student, about half a step more, and one more velocity per weight.

    Source: Zhao et al. 2023, arXiv:2307.08436, section 3.2.

    Args:
        groups: parameters, or groups of them with their own `weight_decay`.
        learning_rate: above 0.
        momentum: m, 0 to 1.
        delta: d, 0 to the smaller of m and 1 - m; the paper's is 0.075 on CIFAR-100.
    """

    def __init__(
        self, groups: Iterable[dict[str, object]], learning_rate: float, *, momentum: float, delta: float
    ) -> None:
        self._momentum = {TASK: momentum - delta, DISTILLATION: momentum + delta, ALL: momentum}
        self._task: dict[Tensor, Tensor] = {}
        super().__init__(cast("list[dict[str, object]]", groups), {"lr": learning_rate, "weight_decay": 0.0})

    def take_task_gradient(self, loss: Tensor, task: Tensor) -> None:
        """Note which part of the coming gradient of `loss` is the task's; call before `loss.backward()`.

        Args:
            loss: scalar; `task` is a part of the sum that it is, perhaps scaled.
            task: scalar, the task's part as it was added.
        """
        (scale,) = torch.autograd.grad(loss, task, retain_graph=True)
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        found = torch.autograd.grad(task, parameters, scale, retain_graph=True, allow_unused=True)
        for parameter, gradient in zip(parameters, found, strict=True):
            if gradient is not None:
                known = self._task.get(parameter)
                self._task[parameter] = gradient if known is None else known + gradient

    @property
    def noted(self) -> Mapping[Tensor, Tensor]:
        """The task's part of the coming step's gradient, by parameter."""
        return self._task

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override] # one form of two
        """Move every parameter that has a gradient."""
        loss = closure() if closure else None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group["lr"], group["weight_decay"])
        self._task.clear()
        return loss

    def _move(self, parameter: Tensor, learning_rate: float, weight_decay: float) -> None:
        gradient, task = cast("Tensor", parameter.grad), self._task.get(parameter)
        decay = weight_decay * parameter
        parts = {ALL: gradient + decay} if task is None else {TASK: task + decay, DISTILLATION: gradient - task}
        for name, part in parts.items():
            velocity = self.state[parameter].get(name)
            if velocity is None:
                velocity = self.state[parameter][name] = torch.zeros_like(parameter)
            velocity.mul_(self._momentum[name]).add_(part)
            parameter.sub_(velocity, alpha=learning_rate)


def task_gradients(optimizer: Optimizer) -> Mapping[Tensor, Tensor]:
    """Return the task's part of the gradient of each parameter that it reaches, as noted for the coming step."""
    return optimizer.noted if isinstance(optimizer, DistillationOriented) else {}


def backpropagate(loss: Tensor, task: Tensor | None, optimizer: Optimizer) -> None:
    """Compute the gradients of a loss, and note the task's part of them where the optimizer wants to know.

    Args:
        loss: scalar.
        task: the task's part of it, where there is one.
        optimizer: of the parameters.
    """
    if task is not None and isinstance(optimizer, DistillationOriented):
        optimizer.take_task_gradient(loss, task)
    torch.autograd.backward(loss)
