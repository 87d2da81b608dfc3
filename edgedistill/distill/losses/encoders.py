"""Losses between Transformer encoders: relations of queries, keys and values, attention scores, hidden states."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgedistill.distill.losses.shapes import require_equal_shapes, require_rank
from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

FAR_BELOW = -1e4
MOST_RELATION_HEADS = 48
LEAST_DEPTH = 8


def relation_loss(student_states: Tensor, teacher_states: Tensor, mask: Tensor, *, heads: int) -> Tensor:
    """Return KL(teacher ‖ student) of how much each token of a text relates to each other one.

    A relation is softmax(X Xᵀ / sqrt(depth)) per relation head, X being the queries, the keys or the values; the
    widths may differ, since heads are cut anew.

    Source: Wang et al. 2020, arXiv:2012.15828 (MiniLMv2), section 3.1, equations 3 to 6. Paper's defaults: 48 heads
    (64 of a large teacher), weight 1 for each of QQ, KK and VV, at the last layer (one of the upper middle of a large
    teacher).

    Args:
        student_states: (batch, tokens, width), floating point: queries, say, of all heads beside each other.
        teacher_states: (batch, tokens, width), any other width; no gradient flows into it.
        mask: (batch, tokens), true where there is a token and no padding; at least one a row.
        heads: relation heads; divides both widths.

    Returns:
        Scalar in nats, mean over batch, heads and tokens; 0 exactly when the relations are equal.

    Raises:
        ShapeError: the shapes do not go together.
    """
    _require_tokens(student_states, teacher_states, mask)
    student = _log_relations(student_states, mask, heads=heads)
    teacher = _log_relations(teacher_states.detach(), mask, heads=heads)
    divergence = (teacher.exp() * (teacher - student)).sum(3).mean(1)  # (batch, tokens)
    return _mean_over_tokens(divergence, mask)


def relation_heads(student_width: int, teacher_width: int) -> int:
    """Return how many relation heads to use: the most, up to 48, that divide both widths and leave 8 numbers a head."""
    shared = math.gcd(student_width, teacher_width)
    most = min(MOST_RELATION_HEADS, max(1, min(student_width, teacher_width) // LEAST_DEPTH))
    return max(count for count in range(1, most + 1) if shared % count == 0)


def attention_scores(queries: Tensor, keys: Tensor, *, heads: int) -> Tensor:
    """Return Q Kᵀ / sqrt(depth), (batch, heads, tokens, tokens), before the softmax.

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1.

    Args:
        queries: (batch, tokens, width), all heads beside each other.
        keys: the same shape.
        heads: divides the width.

    Raises:
        ShapeError: the shapes differ, or the heads do not divide the width.
    """
    require_equal_shapes(queries, keys, names=("queries", "keys"))
    query, key = _split(queries, heads=heads), _split(keys, heads=heads)
    return query @ key.transpose(2, 3) / math.sqrt(query.shape[3])


def attention_loss(student_scores: Tensor, teacher_scores: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared difference of attention scores, before the softmax.

    Source: Jiao et al. 2019, arXiv:1909.10351 (TinyBERT), equation 7, which wants as many heads; where their numbers
    differ, the means over the heads are compared. Paper's weight: 1.

    Args:
        student_scores: (batch, heads, tokens, tokens), floating point, as `attention_scores` gives them.
        teacher_scores: the same, with any number of heads; no gradient flows into it.
        mask: (batch, tokens), true where there is a token.

    Returns:
        Scalar, mean over batch, heads and pairs of tokens; padding does not count.

    Raises:
        ShapeError: the shapes do not go together.
    """
    teacher_scores = teacher_scores.detach()
    if student_scores.shape[1] != teacher_scores.shape[1]:
        student_scores, teacher_scores = student_scores.mean(1, keepdim=True), teacher_scores.mean(1, keepdim=True)
    require_rank(student_scores, 4, name="student scores", wanted="(batch, heads, tokens, tokens)")
    require_equal_shapes(student_scores, teacher_scores, names=("student scores", "teacher scores"))
    pairs = (mask[:, None, :, None] & mask[:, None, None, :]).to(student_scores.dtype)
    squared = (student_scores - teacher_scores).square().mean(1, keepdim=True)
    return (squared * pairs).sum() / pairs.sum().clamp(min=1)


def hidden_state_loss(student_states: Tensor, teacher_states: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared difference of hidden states; padding does not count.

    Source: Jiao et al. 2019, arXiv:1909.10351 (TinyBERT), equation 8; equation 9 is the same for the embeddings.
    Paper's weight: 1.

    Args:
        student_states: (batch, tokens, width), floating point, already projected to the teacher's width.
        teacher_states: the same shape; no gradient flows into it.
        mask: (batch, tokens), true where there is a token.

    Returns:
        Scalar, mean over tokens and width, in squared units of the states; 0 exactly when they are equal.

    Raises:
        ShapeError: the shapes do not go together.
    """
    require_equal_shapes(student_states, teacher_states, names=("student states", "teacher states"))
    _require_tokens(student_states, teacher_states, mask)
    return _mean_over_tokens((student_states - teacher_states.detach()).square().mean(2), mask)


def _mean_over_tokens(values: Tensor, mask: Tensor) -> Tensor:
    known = mask.to(values.dtype)
    return (values * known).sum() / known.sum().clamp(min=1)


def _log_relations(states: Tensor, mask: Tensor, *, heads: int) -> Tensor:
    """Return the log softmax (batch, heads, tokens, tokens) of the scaled inner products; padding attracts nothing."""
    split = _split(states, heads=heads)
    scores = split @ split.transpose(2, 3) / math.sqrt(split.shape[3])
    ignored = torch.where(mask, 0.0, FAR_BELOW).to(scores.dtype)[:, None, None, :]
    return functional.log_softmax(scores + ignored, 3)


def _split(states: Tensor, *, heads: int) -> Tensor:
    """Return (batch, tokens, width) as (batch, heads, tokens, width / heads)."""
    require_rank(states, 3, name="states", wanted="(batch, tokens, width)")
    batch, tokens, width = states.shape
    if heads < 1 or width % heads:
        raise ShapeError(f"states of width {width}", found=f"{heads} heads", wanted="a number that divides the width")
    return states.reshape(batch, tokens, heads, width // heads).transpose(1, 2)


def _require_tokens(student: Tensor, teacher: Tensor, mask: Tensor) -> None:
    if student.ndim != 3 or student.shape[:2] != teacher.shape[:2] or mask.shape != student.shape[:2]:  # noqa: PLR2004
        raise ShapeError(
            "states of the tokens",
            found=f"shapes {tuple(student.shape)} and {tuple(teacher.shape)}, mask {tuple(mask.shape)}",
            wanted="(batch, tokens, width) of the same tokens and a mask (batch, tokens)",
        )
