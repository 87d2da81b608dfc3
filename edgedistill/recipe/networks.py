"""Teacher and student: what they are, and what they start from."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from edgedistill.recipe.section import Scalar, Section


class Network(Section):
    """A network and where its weights come from."""

    source: str
    """`residual`, `separable` (images), `unet` (images, every pixel), `signal-conv` (arrays: time, channels),
    `text-conv`, `text-encoder` (texts), `python:module:factory`, or the path of a `.pt2` program. A teacher may also be
    the path of an `.onnx` file, a `python:` function that returns any callable from arrays to logits, or `ensemble`; of
    texts, `huggingface:FOLDER`, or `recorded`: its answers came with the data.
    """
    options: dict[str, Scalar | tuple[Scalar, ...]] = {}
    """Keyword arguments of the factory, those that the data decide apart; of `huggingface:`, `max_length` in tokens."""
    weights: str | None = None
    """Path of a `.safetensors` or `.pt`/`.pth` state dictionary, or `builtin:NAME`; none: random weights. Of
    `huggingface:`, a `.safetensors` with `head.weight` and `head.bias`: a classifier on its embeddings."""
    embeddings: str | None = None
    """Hugging Face folder whose token embeddings a family for texts starts from, cut to its width; none: random."""
    replace_activations: dict[str, str] = {}
    """Activation layers to replace before anything is learned, such as `hardswish: relu6`: what a target computes with
    integers. Not of a `.pt2` program or a Hugging Face folder."""


class StartMethod(StrEnum):
    """What a student takes over from its teacher."""

    COPY_LAYERS = "copy-layers"
    SLICE_CHANNELS = "slice-channels"


class Importance(StrEnum):
    """By what channels are ranked."""

    L1 = "l1"
    BN_GAMMA = "bn-gamma"
    TAYLOR = "taylor"


class Start(Section):
    """A student that starts from its teacher's weights. One that learns alone, for comparison, starts at random."""

    method: StartMethod
    """`copy-layers`: some layers of an encoder, to a student as wide with fewer layers. `slice-channels`: the most
    important channels of a convolutional network, to a narrower student whose layers have the same names."""
    layers: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Of `copy-layers`: the teacher's layers, from 0, one for each of the student's."""
    teacher_layers: str | None = None
    """Dotted path of the teacher's list of layers; none takes its longest."""
    student_layers: str | None = None
    """Dotted path of the student's list of layers; none takes its longest."""
    importance: Importance = Importance.L1
    """Of `slice-channels`: `l1` (of the weights), `bn-gamma` (scales of batch norms), `taylor` (first-order change of
    the loss on 256 samples)."""


class Student(Network):
    """The model to train."""

    start: Start | None = None
    """What it takes over from its teacher; none: it starts at random, or from `weights` and `embeddings`."""


class Member(Network):
    """One teacher of an ensemble."""

    weight: float = Field(default=1.0, gt=0, le=1e6)
    """Weight of its probabilities; only the proportions count."""


class Model(Network):
    """A network, or several that answer together."""

    ensemble: tuple[Member, ...] = Field(default=(), max_length=64)
    """Of `source: ensemble`: teachers whose class probabilities are averaged."""
