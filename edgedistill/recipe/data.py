"""The transfer set and the evaluation set: sources, views, samples made from the teacher."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgedistill.data.preprocessing import ArrayPreprocessing, AudioPreprocessing, ImagePreprocessing, TextPreprocessing
from edgedistill.recipe.section import Section, Share


class AudioViews(Section):
    """How a sound is varied."""

    shift_ms: float = Field(default=0.0, ge=0, le=10_000)
    """Move by up to this many milliseconds in each direction, filling with silence."""
    gain_db: float = Field(default=0.0, ge=0, le=40)
    """Louder or quieter by up to so many decibels."""
    snr_db: tuple[Annotated[float, Field(ge=-20, le=100)], Annotated[float, Field(ge=-20, le=100)]] | None = None
    """Lowest and highest signal-to-noise ratio of the synthetic noise that is added; none adds none."""
    mask_ms: float = Field(default=0.0, ge=0, le=10_000)
    """Longest stretch of time that is masked (arXiv:1904.08779)."""
    mask_bands: int = Field(default=0, ge=0, le=256)
    """Most neighbouring bands that are masked."""


class Views(Section):
    """How a sample is varied. A view is a pure function of (sample, view number, seed)."""

    count: int = Field(default=4, ge=1, le=10_000)
    """Views of each sample; training cycles through them, and the teacher labels each once."""
    flip: bool = False
    """Mirror half of the views left to right (images)."""
    shift: int = Field(default=0, ge=0, le=64)
    """Move by up to this many pixels in each direction, filling with the edge value 0 (images)."""
    crop: float = Field(default=1.0, gt=0, le=1)
    """Smallest share of the area that a random resized crop keeps; 1 means no crop (images)."""
    mixup: float = Field(default=0.0, ge=0, le=10)
    """Alpha of the Beta distribution that mixes a view with another sample's (arXiv:1710.09412); 0: none."""
    noise: float = Field(default=0.0, ge=0, le=10)
    """Deviation of the Gaussian noise added to each value, where 1 is that of a normalised input (arrays)."""
    gain: float = Field(default=0.0, ge=0, lt=1)
    """Largest relative change of a sample's amplitude: each is multiplied by 1 - gain to 1 + gain (arrays)."""
    drop_words: float = Field(default=0.0, ge=0, le=0.9)
    """Probability with which a view leaves a word out (texts); at 0 a text has one view, whatever `count` says."""
    audio: AudioViews = AudioViews()
    """How sounds are varied besides."""

    @property
    def unused(self) -> set[str]:
        """Names of the later settings that are at their defaults: left out of hashes, so that earlier hashes stay."""
        default = Views()
        return {name for name in ("noise", "gain", "audio") if getattr(self, name) == getattr(default, name)}


class Captured(Section):
    """Which completions of a `capture:` source are meant: those that meet every condition."""

    model: str | None = None
    """The model that answered, or the one that was asked for."""
    metadata: dict[str, str] = {}
    """Pairs that a completion must have."""
    created_after: int | None = None
    """Unix time, seconds, exclusive."""
    created_before: int | None = None
    """Unix time, seconds, exclusive."""
    finish_reason: str | None = "stop"
    """Why the answer ended (chat); none takes every answer, cut off ones too."""
    grader: str | None = None
    """A completion must have a grade of this grader."""
    min_score: float | None = None
    """A grade of at least this."""
    passed: bool | None = None
    """A grade that passed, or one that did not."""
    gold: str | None = None
    """Metadata key under which a completion may have its true class; accuracy is measured on those that do."""

    def __hash__(self) -> int:
        return hash(self.model_dump_json())


class Inversion(Section):
    """Samples made from the teacher alone, by its BatchNorm statistics (DeepInversion, arXiv:1912.08795)."""

    samples: int = Field(default=2048, ge=2, le=1_000_000)
    """Samples to make, in equal shares of each class."""
    evaluation_samples: int = Field(default=512, ge=2, le=100_000)
    """Samples to make besides where the data have no evaluation set: agreement with the teacher is measured on them."""
    batch_size: int = Field(default=256, ge=2, le=4096)
    """Samples that are optimised together; the statistics are taken over them. An interruption loses one batch."""
    steps: int = Field(default=200, ge=1, le=100_000)
    """Steps of each batch."""
    learning_rate: float = Field(default=0.1, gt=0, le=10)
    """Highest learning rate of the samples; pixels run from 0 to 1."""
    statistics_weight: float = Field(default=20.0, ge=0, le=1000)
    """Weight of the distance to the teacher's BatchNorm statistics, summed over its layers."""
    variation_weight: float = Field(default=1.0, ge=0, le=1000)
    """Weight of the difference of neighbouring pixels (images)."""
    norm_weight: float = Field(default=0.0, ge=0, le=1000)
    """Weight of the mean square of the inputs."""
    jitter: int = Field(default=2, ge=0, le=64)
    """Roll by up to this many pixels in each step (images)."""
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)
    """Seed of the noise that they begin with; none: the recipe's."""
    min_confidence: Share = 0.5
    """Least mean probability that the teacher gives its own answers on the samples; a gate."""
    min_class_share: Share = 0.5
    """Least share of any class among the teacher's answers, as a part of an even share; a gate."""


class Data(Section):
    """The transfer set and the evaluation set."""

    source: str = "fashion-mnist"
    """`fashion-mnist`, `shapes` (small, offline), `garment-scenes` (with masks), `keywords` (synthetic speech),
    `image-folder:PATH`, `audio-folder:PATH`, `npz:PATH`, `text:PATH` (`.jsonl`, `.csv`, `.tsv`), `capture:FOLDER` (a
    store of captured completions), `python:module:function`, `inverted` (made from the teacher: no data)."""
    evaluation: str | None = None
    """Source whose test split is the evaluation set; none: that of `source`. Of `inverted` without one, agreement with
    the teacher is measured on samples made as the others, and accuracy is not measured."""
    max_per_class: int | None = Field(default=None, ge=1, le=10_000_000)
    """Most training samples of each class, chosen by the seed; none: all."""
    inversion: Inversion = Inversion()
    """How samples are made from the teacher, for `source: inverted` and `quantize.calibration.source: inverted`."""
    captured: Captured = Captured()
    """Which completions of a `capture:` source are meant."""
    classes: tuple[str, ...] = ()
    """Class names in label order; empty takes the source's own."""
    labelled: Share = 1.0
    """Share of the training samples whose class the student may see, the same of each class; the teacher answers for
    all. The student that learns alone (`distill.baseline`) has the labelled ones only, for as many steps."""
    preprocessing: Annotated[
        ImagePreprocessing | ArrayPreprocessing | AudioPreprocessing | TextPreprocessing, Field(discriminator="kind")
    ]
    """From raw sample to model input; it travels with the artifact and runs on the device."""
    views: Views = Views()
    """How training samples are varied; evaluation never is."""
    workers: int = Field(default=1, ge=0, le=16)
    """Threads that make batches and read the teacher's outputs while the model computes; 0 makes each in its turn. The
    result is the same, bit for bit."""
