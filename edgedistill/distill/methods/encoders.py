"""Methods between Transformer encoders: relations, attention scores, hidden states.

Teacher and student must see the same tokens: a recipe gives the student the teacher's tokenizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from edgedistill.distill.methods.base import Kind, Method, Options, Pairing

if TYPE_CHECKING:
    from edgedistill.distill.methods.base import Probed, Term


class MinilmOptions(Options):
    """Options of `minilm`."""

    heads: int = Field(default=0, ge=0, le=4096)
    """Relation heads, which divide both widths; 0 takes the most, up to the paper's 48, that leave 8 numbers a head."""


def _minilm(probed: Probed, options: MinilmOptions) -> Term:
    from edgedistill.distill.feature_terms import RelationTerm

    return RelationTerm(probed, heads=options.heads)


MINILM = Method(
    name="minilm",
    title="how queries, keys and values of the last attention relate (MiniLMv2)",
    source="Wang et al. 2020, arXiv:2012.15828, section 3.1",
    kind=Kind.FEATURES,
    weight=1.0,
    beside="labels 0, soft targets 0",
    options=MinilmOptions,
    build=_minilm,
    pairing=Pairing.LAST_ATTENTION,
    same_tokens=True,
)


def _hidden_states(probed: Probed, _options: Options) -> Term:
    from edgedistill.distill.feature_terms import HiddenStateTerm

    return HiddenStateTerm(probed)


HIDDEN_STATES = Method(
    name="hidden-states",
    title="each token's features, layer by layer (TinyBERT)",
    source="Jiao et al. 2019, arXiv:1909.10351, equation 8",
    kind=Kind.FEATURES,
    weight=1.0,
    beside="labels 0, soft targets 0",
    options=Options,
    build=_hidden_states,
    same_tokens=True,
)


class AttentionOptions(Options):
    """Options of `attention`."""

    student_heads: int = Field(default=4, ge=1, le=4096)
    """Heads of the student's attention."""
    teacher_heads: int = Field(default=12, ge=1, le=4096)
    """Heads of the teacher's attention; where the numbers differ, means over the heads are compared."""


def _attention(probed: Probed, options: AttentionOptions) -> Term:
    from edgedistill.distill.feature_terms import AttentionTerm

    return AttentionTerm(probed, student_heads=options.student_heads, teacher_heads=options.teacher_heads)


ATTENTION = Method(
    name="attention",
    title="attention scores, layer by layer (TinyBERT)",
    source="Jiao et al. 2019, arXiv:1909.10351, equation 7",
    kind=Kind.FEATURES,
    weight=1.0,
    beside="labels 0, soft targets 0",
    options=AttentionOptions,
    build=_attention,
    pairing=Pairing.ATTENTIONS,
    same_tokens=True,
)
