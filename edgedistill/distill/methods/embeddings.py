"""Methods that learn from the layer before the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.distill.methods.base import Kind, Method, Options, Pairing

if TYPE_CHECKING:
    from edgedistill.distill.methods.base import Probed, Term


class NormDirectionOptions(Options):
    """Options of `kd++`: it has none."""


def _norm_direction(probed: Probed, _options: NormDirectionOptions) -> Term:
    from edgedistill.distill.norm_direction_term import NormDirectionTerm

    return NormDirectionTerm(probed)


NORM_DIRECTION = Method(
    name="kd++",
    title="norm and direction of the embedding, towards the teacher's mean of each class",
    source="Wang et al. 2023, arXiv:2305.17007, section 3.3; its weights are 2 to 4",
    kind=Kind.FEATURES,
    weight=2.0,
    beside="labels 1, soft targets 1",
    options=NormDirectionOptions,
    build=_norm_direction,
    pairing=Pairing.PENULTIMATE,
)
