"""Methods that learn from features of any kind: maps, tokens, vectors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgedistill.distill.methods.base import Kind, Method, Options, Pairing

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from edgedistill.distill.methods.base import Probed, Term


def _projected(probed: Probed, loss: Callable[[Tensor, Tensor], Tensor]) -> Term:
    """Return the sum over pairs, the student's features projected to the teacher's shape."""
    from edgedistill.distill.feature_terms import PairedTerm
    from edgedistill.distill.projectors import projector

    shapes = zip(probed.student_shapes, probed.teacher_shapes, strict=True)
    return PairedTerm([projector(*pair) for pair in shapes], loss)


def _as_they_are(probed: Probed, loss: Callable[[Tensor, Tensor], Tensor]) -> Term:
    """Return the sum over pairs of a loss that compares features of any shape."""
    from torch import nn

    from edgedistill.distill.feature_terms import PairedTerm

    return PairedTerm([nn.Identity() for _ in probed.pairs], loss)


def _fitnets(probed: Probed, _options: Options) -> Term:
    from edgedistill.distill.losses.hints import hint_loss

    return _projected(probed, hint_loss)


FITNETS = Method(
    name="fitnets",
    title="hints: squared difference of projected features",
    source="Romero et al. 2014, arXiv:1412.6550, equation 3; arXiv:1910.10699 has weight 100 at learning rate 0.05",
    kind=Kind.FEATURES,
    weight=1.0,
    beside="labels 1, soft targets 0",
    options=Options,
    build=_fitnets,
    pairing=Pairing.LAST_STAGE,
)


def _attention_transfer(probed: Probed, _options: Options) -> Term:
    from edgedistill.distill.losses.attention_transfer import attention_transfer_loss

    return _as_they_are(probed, attention_transfer_loss)


ATTENTION_TRANSFER = Method(
    name="attention-transfer",
    title="where features are strong",
    source="Zagoruyko and Komodakis 2016, arXiv:1612.03928, section 3.1",
    kind=Kind.FEATURES,
    weight=1000.0,
    beside="labels 1, soft targets 0",
    options=Options,
    build=_attention_transfer,
)


def _similarity(probed: Probed, _options: Options) -> Term:
    from edgedistill.distill.losses.similarity import similarity_preserving_loss

    return _as_they_are(probed, similarity_preserving_loss)


SIMILARITY = Method(
    name="similarity-preserving",
    title="which samples of a batch are alike",
    source="Tung and Mori 2019, arXiv:1907.09682, equation 4",
    kind=Kind.FEATURES,
    weight=3000.0,
    beside="labels 1, soft targets 0",
    options=Options,
    build=_similarity,
    pairing=Pairing.LAST_STAGE,
)


class RkdOptions(Options):
    """Options of `rkd`."""

    distance: float = Field(default=25.0, ge=0, le=1e6)
    """Weight of the distances."""
    angle: float = Field(default=50.0, ge=0, le=1e6)
    """Weight of the angles."""


def _rkd(probed: Probed, options: RkdOptions) -> Term:
    from edgedistill.distill.losses.relational import angle_loss, distance_loss

    def loss(student: Tensor, teacher: Tensor) -> Tensor:
        return options.distance * distance_loss(student, teacher) + options.angle * angle_loss(student, teacher)

    return _as_they_are(probed, loss)


RKD = Method(
    name="rkd",
    title="distances and angles between the samples of a batch",
    source="Park et al. 2019, arXiv:1904.05068, section 3.2",
    kind=Kind.FEATURES,
    weight=1.0,
    beside="labels 1, soft targets 0",
    options=RkdOptions,
    build=_rkd,
    pairing=Pairing.PENULTIMATE,
)


def _vid(probed: Probed, _options: Options) -> Term:
    from edgedistill.distill.feature_terms import VariationalTerm

    return VariationalTerm(probed)


VID = Method(
    name="vid",
    title="the teacher's features, predicted with a variance for each channel",
    source="Ahn et al. 2019, arXiv:1904.05835, equation 5",
    kind=Kind.FEATURES,
    weight=1.0,
    beside="labels 1, soft targets 0",
    options=Options,
    build=_vid,
)


class CrdOptions(Options):
    """Options of `crd`."""

    negatives: int = Field(default=4096, ge=1, le=1_000_000)
    """Samples of other classes that each is told from, at most the transfer set's number; the paper has 16384."""
    width: int = Field(default=128, ge=1, le=65_536)
    """Width of an embedding."""
    temperature: float = Field(default=0.07, gt=0, le=100)
    """Temperature of a score."""
    momentum: float = Field(default=0.5, ge=0, lt=1)
    """Share of a remembered embedding that stays."""


def _crd(probed: Probed, options: CrdOptions) -> Term:
    from edgedistill.distill.feature_terms import ContrastiveTerm

    return ContrastiveTerm(
        probed,
        negatives=options.negatives,
        width=options.width,
        temperature=options.temperature,
        momentum=options.momentum,
    )


CRD = Method(
    name="crd",
    title="contrast with remembered samples of other classes",
    source="Tian et al. 2019, arXiv:1910.10699, equations 10 to 19",
    kind=Kind.FEATURES,
    weight=0.8,
    beside="labels 1, soft targets 0",
    options=CrdOptions,
    build=_crd,
    pairing=Pairing.PENULTIMATE,
)


def _review(probed: Probed, _options: Options) -> Term:
    from edgedistill.distill.feature_terms import ReviewTerm

    return ReviewTerm(probed)


REVIEW = Method(
    name="review",
    title="knowledge review: each level learns with those above it",
    source="Chen et al. 2021, arXiv:2104.09044, equation 7; the paper raises the weight over 20 epochs",
    kind=Kind.FEATURES,
    weight=1.0,
    beside="labels 1, soft targets 0",
    options=Options,
    build=_review,
)


class CwdOptions(Options):
    """Options of `cwd`."""

    temperature: float = Field(default=4.0, gt=0, le=100)
    """Temperature of both distributions."""


def _cwd(probed: Probed, options: CwdOptions) -> Term:
    from edgedistill.distill.losses.channel_wise import channel_wise_loss

    return _projected(probed, partial(channel_wise_loss, temperature=options.temperature))


CWD = Method(
    name="cwd",
    title="where in space each channel looks",
    source="Shu et al. 2020, arXiv:2011.13256, equation 4; weight 3 for maps of logits",
    kind=Kind.FEATURES,
    weight=50.0,
    beside="labels 1, soft targets 0",
    options=CwdOptions,
    build=_cwd,
    pairing=Pairing.LAST_STAGE,
)


class MgdOptions(Options):
    """Options of `mgd`."""

    masked: float = Field(default=0.15, ge=0, lt=1)
    """Share of the positions that are masked; the paper has 0.75 for segmentation."""


def _mgd(probed: Probed, options: MgdOptions) -> Term:
    from edgedistill.distill.feature_terms import PairedTerm
    from edgedistill.distill.losses.generation import MaskedGeneration, generation_loss
    from edgedistill.distill.projectors import projector

    shapes = zip(probed.student_shapes, probed.teacher_shapes, strict=True)
    parts = [MaskedGeneration(projector(*pair), pair[1], masked=options.masked) for pair in shapes]
    return PairedTerm(parts, generation_loss)


MGD = Method(
    name="mgd",
    title="the teacher's features, generated from masked ones",
    source="Yang et al. 2022, arXiv:2205.01529, equation 4",
    kind=Kind.FEATURES,
    weight=7e-5,
    beside="labels 1, soft targets 0",
    options=MgdOptions,
    build=_mgd,
    pairing=Pairing.LAST_STAGE,
)


class OfaOptions(Options):
    """Options of `ofa`."""

    exponent: float = Field(default=1.0, ge=1, le=10)
    """How much more the true class counts; the paper has 1 to 1.5."""
    temperature: float = Field(default=1.0, gt=0, le=100)
    """Temperature of both distributions."""


def _ofa(probed: Probed, options: OfaOptions) -> Term:
    from edgedistill.distill.feature_terms import BranchTerm

    return BranchTerm(probed, exponent=options.exponent, temperature=options.temperature)


OFA = Method(
    name="ofa",
    title="a branch to class logits at each stage, for unlike architectures",
    source="Hao et al. 2023, arXiv:2310.19444, equation 5",
    kind=Kind.FEATURES,
    weight=1.0,
    beside="labels 1, soft targets 0",
    options=OfaOptions,
    build=_ofa,
)


class EmbeddingOptions(Options):
    """Options of `embedding`."""

    distance: Literal["cosine", "mse"] = "cosine"
    """What is compared: directions, or the embeddings themselves."""


def _embedding(probed: Probed, options: EmbeddingOptions) -> Term:
    from edgedistill.distill.losses.embeddings import embedding_distance_loss, embedding_loss

    return _projected(probed, embedding_loss if options.distance == "cosine" else embedding_distance_loss)


EMBEDDING = Method(
    name="embedding",
    title="the teacher's penultimate features, from the student's by a linear layer",
    source="Reimers and Gurevych 2020, arXiv:2004.09813, section 3",
    kind=Kind.FEATURES,
    weight=1.0,
    beside="labels 1, soft targets 0",
    options=EmbeddingOptions,
    build=_embedding,
    pairing=Pairing.PENULTIMATE,
)


def _simkd(probed: Probed, _options: Options) -> Term:
    from edgedistill.distill.losses.reused_features import reused_feature_loss
    from edgedistill.errors import ShapeError

    for student, teacher in zip(probed.student_shapes, probed.teacher_shapes, strict=True):
        if student[0] != teacher[0]:
            raise ShapeError(
                "loss 'simkd'",
                found=f"student features {student} and teacher features {teacher}",
                wanted="a student that has the teacher's head",
                fix="change it by `edgedistill.distill.reused_head.with_teachers_head` first",
            )
    return _as_they_are(probed, reused_feature_loss)


SIMKD = Method(
    name="simkd",
    title="the teacher's last layer on the student, behind a projector that stays; adds to its size and latency",
    source="Chen et al. 2022, arXiv:2203.14001, section 3.2",
    kind=Kind.FEATURES,
    weight=1.0,
    beside="labels 0, soft targets 0",
    options=Options,
    build=_simkd,
    pairing=Pairing.LAST_STAGE,
    reuses_head=True,
)
