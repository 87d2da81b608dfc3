"""The whole recipe."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from edgedistill.recipe.data import Data
from edgedistill.recipe.deployment import Bench, TargetChoice, Verify
from edgedistill.recipe.learning import Distill
from edgedistill.recipe.networks import Model, Student
from edgedistill.recipe.quantization import Quantize
from edgedistill.recipe.section import Section


class StoredFeatures(StrEnum):
    """Type in which the teacher's features are kept."""

    FLOAT16 = "float16"
    INT8 = "int8"


class Cache(Section):
    """Where and how the teacher's outputs are kept."""

    folder: str | None = None
    """Folder; none means `$EDGEDISTILL_CACHE` or `~/.cache/edgedistill`."""
    max_gb: float = Field(default=50.0, gt=0)
    """Largest size of one transfer set's teacher outputs."""
    top_k: int | None = Field(default=None, ge=0, le=65_536)
    """How many of a sample's largest logits are kept; the other classes share what is left of the probability, at the
    temperature of `distill.soft_targets`. 0 keeps all; none keeps all below 1,000 classes, and 128 from there on."""
    features: StoredFeatures = StoredFeatures.FLOAT16
    """Type of the features that hints learn from: `float16`, or `int8`, half as large, with a scale per channel."""


class Task(StrEnum):
    """What the student's outputs are."""

    CLASSIFICATION = "classification"
    EMBEDDING = "embedding"
    SEGMENTATION = "segmentation"


class TrackerName(StrEnum):
    """An experiment tracker, by the name that Accelerate has for it."""

    AIM = "aim"
    CLEARML = "clearml"
    COMET_ML = "comet_ml"
    DVCLIVE = "dvclive"
    MLFLOW = "mlflow"
    SWANLAB = "swanlab"
    TENSORBOARD = "tensorboard"
    TRACKIO = "trackio"
    WANDB = "wandb"


class Recipe(Section):
    """Everything one run does."""

    version: Literal[1] = 1
    """Version of this format."""
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """Name of the run; the run directory is `runs/NAME` unless the command line says otherwise."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Seed of everything random."""
    threads: int = Field(default=0, ge=0, le=1024)
    """Threads of torch; 0 means all cores. Another number may change the last bits of a training."""
    task: Task = Task.CLASSIFICATION
    """`classification`; `embedding`: sentence embeddings, learned from the teacher's alone; `segmentation`: a class for
    every pixel of an image, of data that have masks."""
    data: Data
    """The transfer set and the evaluation set."""
    teacher: Model
    """The model to learn from."""
    student: Student
    """The model to train."""
    distill: Distill = Distill()
    """How the student learns."""
    quantize: Quantize = Quantize()
    """From the fp32 student to a quantized program."""
    targets: tuple[TargetChoice, ...] = Field(min_length=1)
    """What to build."""
    verify: Verify = Verify()
    """The proof that an artifact computes what was trained."""
    bench: Bench = Bench()
    """Latency on this workstation."""
    cache: Cache = Cache()
    """Where the teacher's outputs are kept."""
    trackers: tuple[TrackerName, ...] = ()
    """Experiment trackers that are told of every epoch, by Accelerate. They write into `trackers` of the run directory
    and send nothing anywhere, unless their own variables say so (`MLFLOW_TRACKING_URI`, `WANDB_MODE`)."""
