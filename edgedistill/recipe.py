"""The recipe: everything one run does, typed and validated; its JSON schema is published for editors."""

from __future__ import annotations

import re
import types
import typing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing
from edgedistill.errors import RecipeError, nearest

Share = Annotated[float, Field(ge=0, le=1)]
Scalar = bool | int | float | str | None


class Section(BaseModel):
    """A part of the recipe: frozen, and closed against unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


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
    """Alpha of the Beta distribution that mixes a view with another sample's; 0 means no mixup (arXiv:1710.09412)."""


class Data(Section):
    """The transfer set and the evaluation set."""

    source: str = "fashion-mnist"
    """`fashion-mnist`, `shapes` (small, synthetic, offline), `image-folder:PATH`, `npz:PATH`, `python:module:function`."""
    classes: tuple[str, ...] = ()
    """Class names in label order; empty takes the source's own."""
    preprocessing: Annotated[ImagePreprocessing | ArrayPreprocessing, Field(discriminator="kind")]
    """From raw sample to model input; it travels with the artifact and runs on the device."""
    views: Views = Views()
    """How training samples are varied; evaluation never is."""


class Model(Section):
    """A network and where its weights come from."""

    source: str
    """`residual`, `separable`, `python:module:factory`, or the path of a `.pt2` program."""
    options: dict[str, Scalar | tuple[Scalar, ...]] = {}
    """Keyword arguments of the factory; `classes` and `channels` are added for the built-in families."""
    weights: str | None = None
    """Path of a `.safetensors` or `.pt`/`.pth` state dictionary, or `builtin:NAME`; none means random weights."""


class SoftTargets(Section):
    """The soft-target loss (arXiv:1503.02531, section 2)."""

    weight: float = Field(default=0.9, ge=0, le=1000)
    """Weight of the loss."""
    temperature: float = Field(default=4.0, gt=0, le=100)
    """Temperature of both distributions."""


class Hint(Section):
    """The hint loss between one layer of the teacher and one of the student (arXiv:1412.6550)."""

    teacher: str
    """Dotted path of the teacher's layer."""
    student: str
    """Dotted path of the student's layer; a 1x1 projector is added where the shapes differ."""
    weight: float = Field(default=1.0, gt=0, le=1e6)
    """Weight of the loss."""


class Optimizer(StrEnum):
    """How weights are updated."""

    SGD = "sgd"
    ADAMW = "adamw"


class Training(Section):
    """One run of the training loop: cosine schedule after a linear warm-up."""

    epochs: float = Field(default=12, gt=0, le=100_000)
    """Passes over the transfer set; each pass uses the next view."""
    batch_size: int = Field(default=128, ge=1, le=65_536)
    """Samples of one step."""
    optimizer: Optimizer = Optimizer.SGD
    """`sgd` (Nesterov momentum 0.9) or `adamw`."""
    learning_rate: float = Field(default=0.1, gt=0, le=10)
    """Highest learning rate."""
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    """Weight decay of convolutions and linear layers; norms and biases have none."""
    warmup: Share = 0.1
    """Share of the steps in which the learning rate rises to its highest."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the moving average of the weights that is evaluated and saved; 0 means none."""


class Distill(Training):
    """How the student learns."""

    label_weight: float = Field(default=0.1, ge=0, le=1000)
    """Weight of cross-entropy with the true labels."""
    soft_targets: SoftTargets = SoftTargets()
    """Learning from the teacher's outputs."""
    hints: tuple[Hint, ...] = ()
    """Learning from the teacher's features."""
    baseline: bool = False
    """Also train the same student alone, on labels only, for the same epochs, to show what distillation gained."""


class RangeMethod(StrEnum):
    """How an activation's range is chosen from its histogram."""

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"
    MSE = "mse"
    ENTROPY = "entropy"


class Calibration(Section):
    """Where quantization starts."""

    samples: int = Field(default=512, ge=1, le=1_000_000)
    """Samples, stratified by class, without augmentation."""
    method: RangeMethod = RangeMethod.MSE
    """How a range is chosen from the histogram."""
    percentile: float = Field(default=99.99, gt=50, le=100)
    """Percentile of the absolute value that `method: percentile` keeps."""
    max_drift: float = Field(default=0.5, gt=0, le=100)
    """Largest relative difference of the ranges of the two halves of the samples before the run stops."""


class Finetune(Training):
    """Training with fake quantization."""

    epochs: float = Field(default=2, ge=0, le=100_000)
    """Passes over the transfer set; 0 means calibration only."""
    learning_rate: float = Field(default=0.01, gt=0, le=10)
    """Highest learning rate; a tenth of the student's is a good start."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """Weight decay."""
    freeze_ranges_after: Share = 0.5
    """Share of the steps after which the activation ranges stay as they are."""


class Quantize(Section):
    """From the fp32 student to a quantized program."""

    calibration: Calibration = Calibration()
    """Where quantization starts."""
    finetune: Finetune = Finetune()
    """Training with fake quantization."""
    max_accuracy_drop: Share = 0.003
    """Largest loss of accuracy against the fp32 student, as a share (0.003 is 0.3 points); a gate."""


class TargetChoice(Section):
    """One thing to build."""

    target: str
    """Name of the target: see `edgedistill targets`."""
    profile: str
    """Name of the device profile of that target."""


class Emulate(StrEnum):
    """Whether to run the artifact on the emulated ARM64 board."""

    AUTO = "auto"
    NEVER = "never"
    REQUIRE = "require"


class Verify(Section):
    """The proof that an artifact computes what was trained."""

    samples: int | None = Field(default=None, ge=1)
    """Evaluation samples to compare on; none means all."""
    min_top1_agreement: Share = 0.9999
    """Least share of samples on which program and artifact name the same class; a gate."""
    max_steps: float = Field(default=1.0, ge=0, le=255)
    """Output steps within which an output counts as equal."""
    min_within_steps: Share = 0.999
    """Least share of outputs within `max_steps`; a gate."""
    emulate: Emulate = Emulate.AUTO
    """`auto` runs the emulated board where it can be had and says "not run" where not; `require` stops there."""
    cpu_model: str = "cortex-a76"
    """CPU model of the emulated board."""


class Bench(Section):
    """Latency on this workstation. It is labelled `host` and says nothing of the device."""

    processes: int = Field(default=3, ge=1, le=100)
    """Fresh processes."""
    samples: int = Field(default=500, ge=44, le=1_000_000)
    """Inferences per process after warm-up."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Threads of the runtime."""


class Cache(Section):
    """Where the teacher's outputs are kept."""

    folder: str | None = None
    """Folder; none means `$EDGEDISTILL_CACHE` or `~/.cache/edgedistill`."""
    max_gb: float = Field(default=50.0, gt=0)
    """Largest size of one transfer set's teacher outputs."""


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
    data: Data
    """The transfer set and the evaluation set."""
    teacher: Model
    """The model to learn from."""
    student: Model
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


def recipe_from_yaml(path: Path, *, overrides: typing.Sequence[str] = ()) -> Recipe:
    """Return the recipe in a YAML file, with `dotted.key=value` overrides applied.

    Relative paths in it stay as written; `run` resolves them against the recipe's folder.

    Raises:
        RecipeError: the file is missing, is no YAML, or has an unknown key or a value out of range.
    """
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(
            f"recipe '{path}'", found="the file does not exist", fix="`edgedistill init` writes one"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe '{path}'", found=f"no valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise RecipeError(f"recipe '{path}'", found=f"a {type(document).__name__}", wanted="a mapping of keys")
    for override in overrides:
        _apply(document, override)
    return recipe_from_mapping(document, thing=f"recipe '{path}'")


def recipe_from_mapping(document: typing.Mapping[str, object], *, thing: str = "recipe") -> Recipe:
    """Return the validated recipe.

    Raises:
        RecipeError: an unknown key (with the nearest valid one), or a value out of range.
    """
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        raise RecipeError(thing, found="; ".join(_problem(item) for item in error.errors())) from error


def _apply(document: dict[str, Any], override: str) -> None:
    if not re.match(r"^[A-Za-z_][\w.]*=", override):
        raise RecipeError(f"override '{override}'", found="no key", wanted="dotted.key=value")
    path, _, text = override.partition("=")
    *parents, last = path.split(".")
    section = document
    for name in parents:
        child = section.setdefault(name, {})
        if not isinstance(child, dict):
            raise RecipeError(f"override '{override}'", found=f"'{name}' is no section")
        section = child
    section[last] = yaml.safe_load(text)


def _problem(item: typing.Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        return f"'{place}' = {item['input']!r}: {item['msg'][0].lower()}{item['msg'][1:]}"
    *parents, last = item["loc"]
    return f"unknown key '{place}': {nearest(str(last), _keys_at(parents))}"


def _keys_at(parents: typing.Sequence[str | int]) -> list[str]:
    """Return the valid keys of the section at a pydantic location."""
    sections: list[type[BaseModel]] = [Recipe]
    for part in parents:
        if isinstance(part, int):
            continue
        found = [
            inner
            for section in sections
            if part in section.model_fields
            for inner in _sections_in(section.model_fields[part].annotation)
        ]
        sections = found or sections  # a discriminator's tag is a part of the location, but no field
    return [name for section in sections for name in section.model_fields]


def _sections_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (tuple, list, typing.Union, types.UnionType, Annotated):
        return [section for inner in typing.get_args(annotation) for section in _sections_in(inner)]
    return []
