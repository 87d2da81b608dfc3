"""The terms of methods that learn from features: their learned parts, and the sum over pairs of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgedistill.distill.losses.branches import Branch, one_hot_targets, target_enhanced_loss
from edgedistill.distill.losses.contrastive import ContrastiveMemory, drawn_negatives
from edgedistill.distill.losses.encoders import (
    attention_loss,
    attention_scores,
    hidden_state_loss,
    relation_heads,
    relation_loss,
)
from edgedistill.distill.losses.review import Review, review_loss
from edgedistill.distill.losses.variational import GaussianPrediction, variational_loss
from edgedistill.distill.projectors import projector
from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedistill.distill.methods.base import Probed, Shape, TermInputs

TOKENS = 2


class PairedTerm(nn.Module):
    """The sum over pairs of a loss between a learned image of the student's features and the teacher's.

    Args:
        parts: what the student's features of each pair go through.
        loss: from (image, teacher's features) to a scalar.
    """

    def __init__(self, parts: Sequence[nn.Module], loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self._loss = loss

    def forward(self, inputs: TermInputs) -> Tensor:
        """Return the loss."""
        triples = zip(self.parts, inputs.student_features, inputs.teacher_features, strict=True)
        return torch.stack([self._loss(part(student), teacher) for part, student, teacher in triples]).sum()


class VariationalTerm(nn.Module):
    """Variational information distillation of each pair; the resolution is made the teacher's first."""

    def __init__(self, probed: Probed) -> None:
        super().__init__()
        sized = [
            (student, (student[0], *teacher[1:]))
            for student, teacher in zip(probed.student_shapes, probed.teacher_shapes, strict=True)
        ]
        self.sizes = nn.ModuleList(projector(*shapes) for shapes in sized)
        teachers = zip(sized, probed.teacher_shapes, strict=True)
        self.predictions = nn.ModuleList(GaussianPrediction(shape, teacher) for (_, shape), teacher in teachers)

    def forward(self, inputs: TermInputs) -> Tensor:
        """Return the loss."""
        losses = []
        pairs = zip(inputs.student_features, inputs.teacher_features, strict=True)
        for place, (student, teacher) in enumerate(pairs):
            predicted, variance = self.predictions[place](self.sizes[place](student))
            losses.append(variational_loss(predicted, teacher, variance))
        return torch.stack(losses).sum()


class ContrastiveTerm(nn.Module):
    """Contrastive representation distillation of each pair, negatives of another class.

    Args:
        probed: shapes, number of samples, and the teacher for classes that are not known.
        negatives: of each sample; no more than there are samples.
        width: of an embedding.
        temperature: of a score.
        momentum: share of a remembered embedding that stays.
    """

    def __init__(self, probed: Probed, *, negatives: int, width: int, temperature: float, momentum: float) -> None:
        super().__init__()
        shapes = zip(probed.student_shapes, probed.teacher_shapes, strict=True)
        self.memories = nn.ModuleList(
            ContrastiveMemory(*pair, samples=probed.samples, width=width, temperature=temperature, momentum=momentum)
            for pair in shapes
        )
        self._negatives = min(negatives, probed.samples)
        self._classes = probed.teacher.classes_of_samples()

    def forward(self, inputs: TermInputs) -> Tensor:
        """Return the loss."""
        negatives = drawn_negatives(inputs.indices, self._classes, count=self._negatives)
        triples = zip(self.memories, inputs.student_features, inputs.teacher_features, strict=True)
        losses = [memory(student, teacher, inputs.indices, negatives) for memory, student, teacher in triples]
        return torch.stack(losses).sum()


class ReviewTerm(nn.Module):
    """Knowledge review over all pairs, lowest level first."""

    def __init__(self, probed: Probed) -> None:
        super().__init__()
        self.review = Review(probed.student_shapes, probed.teacher_shapes)

    def forward(self, inputs: TermInputs) -> Tensor:
        """Return the loss."""
        return review_loss(self.review(inputs.student_features), inputs.teacher_features)


class BranchTerm(nn.Module):
    """One branch for each of the student's layers, and the student's own logits; the teacher's features are not used.

    Args:
        probed: shapes and classes.
        exponent: of the target-enhanced loss.
        temperature: of both distributions.
    """

    def __init__(self, probed: Probed, *, exponent: float, temperature: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(Branch(shape, classes=probed.classes) for shape in probed.student_shapes)
        self._exponent, self._temperature = exponent, temperature

    def forward(self, inputs: TermInputs) -> Tensor:
        """Return the loss."""
        classes = inputs.teacher_logits.shape[1]
        targets = one_hot_targets(inputs.labels, inputs.mixed_labels, inputs.mix, classes=classes)
        branched = [branch(own) for branch, own in zip(self.branches, inputs.student_features, strict=True)]
        losses = [
            target_enhanced_loss(
                logits, inputs.teacher_logits, targets, exponent=self._exponent, temperature=self._temperature
            )
            for logits in (inputs.student_logits, *branched)
        ]
        return torch.stack(losses).sum()


class RelationTerm(nn.Module):
    """Relations of each pair: of queries, of keys and of values, in a recipe without layers.

    Args:
        probed: shapes, which must be of as many tokens each.
        heads: relation heads; 0 chooses as `relation_heads` does.
    """

    def __init__(self, probed: Probed, *, heads: int) -> None:
        super().__init__()
        pairs = list(zip(probed.student_shapes, probed.teacher_shapes, strict=True))
        require_equal_tokens(pairs, method="minilm")
        self._heads = [heads or relation_heads(student[1], teacher[1]) for student, teacher in pairs]
        for count, (student, teacher) in zip(self._heads, pairs, strict=True):
            if student[1] % count or teacher[1] % count:
                raise ShapeError(
                    "option 'heads' of loss 'minilm'",
                    found=f"{count}",
                    wanted=f"a divisor of both widths, {student[1]} and {teacher[1]}",
                )

    def forward(self, inputs: TermInputs) -> Tensor:
        """Return the loss."""
        triples = zip(inputs.student_features, inputs.teacher_features, self._heads, strict=True)
        losses = [
            relation_loss(student, teacher, token_mask(teacher), heads=heads) for student, teacher, heads in triples
        ]
        return torch.stack(losses).sum()


class AttentionTerm(nn.Module):
    """Attention scores of each two pairs: queries and keys.

    Args:
        probed: shapes, which must be of as many tokens each.
        student_heads: of the student's attention; divides its width.
        teacher_heads: of the teacher's attention; divides its width.
    """

    def __init__(self, probed: Probed, *, student_heads: int, teacher_heads: int) -> None:
        super().__init__()
        pairs = list(zip(probed.student_shapes, probed.teacher_shapes, strict=True))
        require_equal_tokens(pairs, method="attention")
        if len(pairs) % 2:
            raise ShapeError(
                "loss 'attention'", found=f"{len(pairs)} layers of each", wanted="queries and keys in turn"
            )
        for role, heads, shapes in (
            ("student", student_heads, probed.student_shapes),
            ("teacher", teacher_heads, probed.teacher_shapes),
        ):
            if any(shape[1] % heads for shape in shapes):
                raise ShapeError(
                    f"option '{role}_heads' of loss 'attention'",
                    found=f"{heads}",
                    wanted=f"the heads of the {role}'s attention, which divide its width, {shapes[0][1]}",
                )
        self._heads = student_heads, teacher_heads

    def forward(self, inputs: TermInputs) -> Tensor:
        """Return the loss."""
        losses = []
        for place in range(0, len(inputs.student_features), 2):
            sides = zip((inputs.student_features, inputs.teacher_features), self._heads, strict=True)
            student, teacher = (attention_scores(side[place], side[place + 1], heads=heads) for side, heads in sides)
            losses.append(attention_loss(student, teacher, token_mask(inputs.teacher_features[place])))
        return torch.stack(losses).sum()


class HiddenStateTerm(nn.Module):
    """Hidden states of each pair, the student's projected to the teacher's width."""

    def __init__(self, probed: Probed) -> None:
        super().__init__()
        pairs = list(zip(probed.student_shapes, probed.teacher_shapes, strict=True))
        require_equal_tokens(pairs, method="hidden-states")
        self.projectors = nn.ModuleList(projector(*pair) for pair in pairs)

    def forward(self, inputs: TermInputs) -> Tensor:
        """Return the loss."""
        triples = zip(self.projectors, inputs.student_features, inputs.teacher_features, strict=True)
        losses = [hidden_state_loss(part(student), teacher, token_mask(teacher)) for part, student, teacher in triples]
        return torch.stack(losses).sum()


def token_mask(teacher_features: Tensor) -> Tensor:
    """Return where there is a token: (batch, tokens), from features whose padding is kept as zeros."""
    return (teacher_features != 0).any(2)


def require_equal_tokens(pairs: Sequence[tuple[Shape, Shape]], *, method: str) -> None:
    """Check that the layers of each pair give as many tokens.

    Raises:
        ShapeError: they do not, or give something else than tokens.
    """
    for student, teacher in pairs:
        if len(student) != TOKENS or len(teacher) != TOKENS or student[0] != teacher[0]:
            raise ShapeError(
                f"loss '{method}'",
                found=f"student features {student} and teacher features {teacher}",
                wanted="as many tokens (tokens, width) of both",
                fix="give the student the teacher's tokenizer and `max_length`, or choose a method of logits",
            )
