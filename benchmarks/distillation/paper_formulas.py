"""Losses as their papers write them, in numpy, one sample and one class at a time: what ours are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Labels = NDArray[np.int64]


def softmax(logits: Array, temperature: float = 1.0) -> Array:
    """Return the distribution of one sample's logits (classes,)."""
    powers = np.exp(logits / temperature - np.max(logits / temperature))
    return powers / powers.sum()


def divergence(teacher: Array, student: Array) -> float:
    """Return the sum of p log(p / q)."""
    return float(sum(p * np.log(p / q) for p, q in zip(teacher, student, strict=True) if p > 0))


def dkd(student: Array, teacher: Array, labels: Labels, *, alpha: float, beta: float, temperature: float) -> float:
    """Return arXiv:2203.08679, equations 1, 2 and 7, times T²."""
    losses = []
    for s, t, label in zip(student, teacher, labels, strict=True):
        p, q = softmax(t, temperature), softmax(s, temperature)
        of_class = divergence(np.array([p[label], 1 - p[label]]), np.array([q[label], 1 - q[label]]))
        p_others, q_others = (np.delete(x, label) / (1 - x[label]) for x in (p, q))
        losses.append(alpha * of_class + beta * divergence(p_others, q_others))
    return temperature**2 * float(np.mean(losses))


def nkd(student: Array, teacher: Array, labels: Labels, *, gamma: float, temperature: float) -> float:
    """Return arXiv:2303.13005, section 3.2: the soft loss of the class and the normalised one of the others."""
    losses = []
    for s, t, label in zip(student, teacher, labels, strict=True):
        of_class = -softmax(t)[label] * np.log(softmax(s)[label])
        p, q = softmax(np.delete(t, label), temperature), softmax(np.delete(s, label), temperature)
        losses.append(of_class - gamma * temperature**2 * np.sum(p * np.log(q)))
    return float(np.mean(losses))


def wttm(student: Array, teacher: Array, *, power: float) -> float:
    """Return arXiv:2402.11148, section 4: the powered teacher's divergence, weighted by its power sum."""
    losses = []
    for s, t in zip(student, teacher, strict=True):
        raised = softmax(t) ** power
        losses.append(raised.sum() * divergence(raised / raised.sum(), softmax(s)))
    return float(np.mean(losses))


def several_temperatures(student: Array, teacher: Array, *, temperatures: Sequence[float]) -> float:
    """Return the mean over temperatures of T² KL: the instance level of Multi-level Logit Distillation."""
    losses = [
        t**2 * divergence(softmax(b, t), softmax(a, t))
        for t in temperatures
        for a, b in zip(student, teacher, strict=True)
    ]
    return float(np.mean(losses))


def norm_direction(student: Array, teacher: Array, class_means: Array, labels: Labels) -> float:
    """Return arXiv:2305.17007, section 3.3: 1 - s·e / max(‖s‖, ‖t‖), e the direction of the class's mean."""
    losses = []
    for s, t, label in zip(student, teacher, labels, strict=True):
        direction = class_means[label] / np.linalg.norm(class_means[label])
        losses.append(1 - s @ direction / max(np.linalg.norm(s), np.linalg.norm(t)))
    return float(np.mean(losses))


def localization(student: Array, teacher: Array, *, temperature: float) -> float:
    """Return arXiv:2102.12252, section 3.2: T² KL of each edge of each box (boxes, 4, positions)."""
    losses = [
        divergence(softmax(b, temperature), softmax(a, temperature))
        for a, b in zip(student.reshape(-1, student.shape[2]), teacher.reshape(-1, teacher.shape[2]), strict=True)
    ]
    return temperature**2 * float(np.mean(losses))
