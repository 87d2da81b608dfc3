"""The recipe: everything one run does, typed and validated; its JSON schema is published for editors."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgedistill.data.preprocessing import ArrayPreprocessing, AudioPreprocessing, ImagePreprocessing, TextPreprocessing
from edgedistill.errors import RecipeError
from edgedistill.recipe_file import mapping_from_file, overridden, override_from_text
from edgedistill.recipe_problems import problems

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgedistill.recipe_file import Override

Share = Annotated[float, Field(ge=0, le=1)]
Scalar = bool | int | float | str | None
LayerPath = Annotated[str, Field(min_length=1, max_length=1000)]


class Section(BaseModel):
    """A part of the recipe: frozen, and closed against unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=Section)


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


class SoftTargets(Section):
    """The soft-target loss (arXiv:1503.02531, section 2)."""

    weight: float = Field(default=0.9, ge=0, le=1000)
    """Weight of the loss."""
    temperature: float = Field(default=4.0, gt=0, le=100)
    """Temperature of both distributions."""
    standardize: bool = False
    """Bring each sample's logits to mean 0 and deviation 1 first, so that the student learns their proportions and not
    their size (arXiv:2403.01427); its paper has weight 9 and temperature 2 then."""


class Hint(Section):
    """The hint loss between one layer of the teacher and one of the student (arXiv:1412.6550)."""

    teacher: str
    """Dotted path of the teacher's layer, or a pattern of such, as `stages.*`."""
    student: str
    """The same of the student; a projector is added where the shapes differ."""
    weight: float = Field(default=1.0, gt=0, le=1e6)
    """Weight of the loss."""


class Loss(Section):
    """One method of distillation: `edgedistill losses` lists them with their sources and options."""

    method: str = Field(min_length=1, max_length=100)
    """Name of the method, such as `dkd`."""
    weight: float | None = Field(default=None, gt=0, le=1e6)
    """Weight of the loss; none takes the method's own, which is its paper's."""
    options: dict[str, Scalar | tuple[Scalar, ...]] = {}
    """What else the method can be told, such as temperatures; what is left out is its paper's."""
    warmup_epochs: float = Field(default=0.0, ge=0, le=100_000)
    """Epochs over which the weight rises: in epoch e, counted from 1, it is min(e / warmup_epochs, 1) of its height."""
    teacher: LayerPath | tuple[LayerPath, ...] = ()
    """Dotted paths of the teacher's layers, of a method that learns from features, or patterns of them: `stages.*`,
    `layers.{0,5}`; `head@input` is what goes into a layer. Without any, layers are paired by themselves."""
    student: LayerPath | tuple[LayerPath, ...] = ()
    """Paths or patterns of the student's layers, as many, in the same order."""


class Optimizer(StrEnum):
    """How weights are updated."""

    SGD = "sgd"
    ADAMW = "adamw"
    DOT = "dot"


class Training(Section):
    """One run of the training loop: cosine schedule after a linear warm-up."""

    epochs: float = Field(default=12, gt=0, le=100_000)
    """Passes over the transfer set; each pass uses the next view."""
    batch_size: int = Field(default=128, ge=1, le=65_536)
    """Samples of one step."""
    accumulate: int = Field(default=1, ge=1, le=65_536)
    """Parts in which a batch is computed, one after the other, to save memory. The sum of their gradients is the
    batch's, but for batch normalisation and losses that compare samples, which see one part at a time."""
    optimizer: Optimizer = Optimizer.SGD
    """`sgd` (Nesterov momentum 0.9), `adamw`, or `dot`: distillation learns with a larger momentum than the labels
    (arXiv:2307.08436), for a second backward pass in each step; without a teacher it is plain momentum."""
    learning_rate: float = Field(default=0.1, gt=0, le=10)
    """Highest learning rate."""
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    """Weight decay of convolutions and linear layers; norms and biases have none."""
    warmup: Share = 0.1
    """Share of the steps in which the learning rate rises to its highest."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the moving average of the weights that is evaluated and saved; 0 means none."""


class Balance(StrEnum):
    """How the terms of the loss are weighed against each other."""

    NONE = "none"
    GRADIENT_NORM = "gradient-norm"


class Distill(Training):
    """How the student learns."""

    label_weight: float = Field(default=0.1, ge=0, le=1000)
    """Weight of cross-entropy with the true labels."""
    soft_targets: SoftTargets = SoftTargets()
    """Learning from the teacher's outputs."""
    hints: tuple[Hint, ...] = ()
    """Learning from the teacher's features."""
    losses: tuple[Loss, ...] = Field(default=(), max_length=64)
    """Further methods. They are added to labels, soft targets and hints, whose weights stay as they are: a method
    whose paper has no soft targets beside it wants `soft_targets: {weight: 0}`."""
    balance: Balance = Balance.NONE
    """`none`: weights multiply the terms as they are. `gradient-norm`: terms are first scaled so that every gradient is
    as long as that of the soft targets (else of the labels, else of the first term); weights are ratios of pulls then.
    """
    dot_delta: float = Field(default=0.075, ge=0, le=0.1)
    """Of `optimizer: dot`: what distillation's momentum is above 0.9, and that of the labels below."""
    baseline: bool = False
    """Also train the same student alone, on labels only and as long, to show what distillation gained."""


class RangeMethod(StrEnum):
    """How an activation's range is chosen from its histogram."""

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"
    MSE = "mse"
    ENTROPY = "entropy"


class CalibrationSource(StrEnum):
    """Which samples ranges are taken from."""

    TRANSFER_SET = "transfer-set"
    INVERTED = "inverted"


class Calibration(Section):
    """Where quantization starts."""

    source: CalibrationSource = CalibrationSource.TRANSFER_SET
    """`transfer-set`, or `inverted`: samples made from the teacher as `data.inversion` says."""
    samples: int = Field(default=512, ge=1, le=1_000_000)
    """Samples, stratified by class, without augmentation."""
    method: RangeMethod = RangeMethod.MSE
    """How a range is chosen from the histogram."""
    percentile: float = Field(default=99.99, gt=50, le=100)
    """Percentile of the absolute value that `method: percentile` keeps."""
    max_drift: float = Field(default=0.5, gt=0, le=100)
    """Largest relative difference of the ranges of the two halves of the samples before the run stops."""


class FinetuneWhen(StrEnum):
    """Whether fine-tuning is worth its time."""

    NEEDED = "needed"
    ALWAYS = "always"


class Guide(StrEnum):
    """Whose soft targets fine-tuning learns from."""

    TEACHER = "teacher"
    STUDENT = "student"


class Scales(StrEnum):
    """Where activation and weight scales come from during fine-tuning."""

    CALIBRATED = "calibrated"
    LEARNED = "learned"


class Finetune(Training):
    """Training with fake quantization."""

    when: FinetuneWhen = FinetuneWhen.NEEDED
    """`needed` skips it where calibration alone keeps `max_accuracy_drop`; `always` does not ask."""
    guide: Guide = Guide.TEACHER
    """Learn from the teacher's soft targets, or from those of the fp32 student."""
    scales: Scales = Scales.CALIBRATED
    """`calibrated` takes the ranges anew a few times; `learned` trains the scales (LSQ, arXiv:1902.08153)."""
    scale_learning_rate: float = Field(default=0.01, gt=0, le=10)
    """Highest learning rate of learned scales."""
    dampening: float = Field(default=0.0, ge=0, le=1000)
    """Weight that keeps depthwise weights from oscillating between two codes (arXiv:2203.11086); 0 means none."""

    epochs: float = Field(default=2, ge=0, le=100_000)
    """Passes over the transfer set; 0 means calibration only."""
    share_of_later: Share = 0.5
    """Share of `epochs` for each further way of quantizing: targets that want the same numbers share one fine-tuning,
    and the others start from the weights of the first."""
    learning_rate: float = Field(default=0.01, gt=0, le=10)
    """Highest learning rate; a tenth of the student's is a good start."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """Weight decay."""
    freeze_ranges_after: Share = 0.5
    """Share of the steps after which the scales stay as they are."""
    exact_steps: int = Field(default=0, ge=0, le=1_000_000)
    """Last steps, of those with frozen scales, whose outputs are what the device's integers give; each takes longer."""


class Quantize(Section):
    """From the fp32 student to a quantized program."""

    calibration: Calibration = Calibration()
    """Where quantization starts."""
    finetune: Finetune = Finetune()
    """Training with fake quantization."""
    sensitivity_samples: int = Field(default=128, ge=0, le=100_000)
    """Calibration samples on which each layer's effect on the outputs is measured; 0 measures none."""
    max_float_layers: int = Field(default=3, ge=0, le=1000)
    """Most layers that may stay in float where the program would lose more than `max_accuracy_drop`."""
    max_accuracy_drop: Share = 0.003
    """Largest loss of accuracy against the fp32 student, as a share (0.003 is 0.3 points); a gate."""


class TargetChoice(Section):
    """One thing to build."""

    target: str
    """Name of the target: see `edgedistill targets`."""
    profile: str
    """Name of the device profile of that target."""
    options: dict[str, Scalar] = {}
    """What else this target can be told, such as `dla: true`: see its README."""

    @property
    def title(self) -> str:
        """The choice in one word: "jetson-tensorrt/agx-orin+dla=true"."""
        return f"{self.target}/{self.profile}{self._suffix}"

    @property
    def configured(self) -> str:
        """The profile with its options: "agx-orin+dla=true"."""
        return f"{self.profile}{self._suffix}"

    @property
    def folder_name(self) -> str:
        """Name of a folder for this choice alone: "jetson-tensorrt-agx-orin-dla-true"."""
        return "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in self.title)

    @property
    def _suffix(self) -> str:
        return "".join(f"+{name}={json.dumps(value)}" for name, value in sorted(self.options.items()))


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
    min_integer_share: Share = 0.0
    """Least share of multiply-accumulates that the runtime computes with integers; a gate, unless it is 0."""
    emulate: Emulate = Emulate.AUTO
    """`auto` runs the emulated board where it can be had, else says "not run"; `require` stops there."""


DeviceName = Annotated[str, Field(min_length=1, max_length=200)]


class Bench(Section):
    """Latency on this workstation. It is labelled `host` and says nothing of the device."""

    processes: int = Field(default=5, ge=1, le=100)
    """Fresh processes."""
    samples: int = Field(default=205, ge=44, le=1_000_000)
    """Inferences per process after its first, at least; warm-up is found in them."""
    seconds: float = Field(default=5.0, ge=0, le=86_400)
    """Seconds of inference of all processes together, at least; below 60 the result is marked quick."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Threads of the runtime."""
    devices: tuple[DeviceName, ...] = Field(default=(), max_length=256)
    """Devices to verify and measure on: addresses (`ssh://USER@HOST`, `adb:SERIAL`), or names of devices.toml."""


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


def recipe_from_yaml(path: Path, *, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe in a YAML file, with `dotted.key=value` overrides applied.

    Relative paths in it stay as written; `run` resolves them against the recipe's folder.

    Raises:
        RecipeError: the file is missing, is no YAML, or has an unknown key or a value out of range.
    """
    parsed = [override_from_text(text) for text in overrides]
    document = overridden(mapping_from_file(path), parsed)
    return _validated(document, thing=f"recipe '{path}'", overrides=parsed)


def recipe_from_mapping(document: Mapping[str, object], *, thing: str = "recipe") -> Recipe:
    """Return the validated recipe; values are taken as they are, so `"3"` is no number and 1 is no `true`.

    Raises:
        RecipeError: an unknown key (with the nearest valid one), or a value out of range.
    """
    return _validated(document, thing=thing, overrides=())


def recipe_schema() -> dict[str, object]:
    """Return the JSON schema of a recipe, for editors; `recipe.schema.json` beside this file is the same."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


def section_from_mapping(kind: type[SectionT], document: Mapping[str, object], *, thing: str) -> SectionT:
    """Return one section; values are taken as they are.

    Args:
        kind: the section's class.
        document: its keys and values.
        thing: what it is to the user: "options of loss 'dkd'".

    Raises:
        RecipeError: an unknown key (with the nearest valid one), or a value out of range.
    """
    try:
        return kind.model_validate_json(_json(document, thing=thing), strict=True)
    except ValidationError as error:
        raise RecipeError(thing, found=_listing(problems(error, document=document, root=kind))) from error


def _validated(document: Mapping[str, object], *, thing: str, overrides: Sequence[Override]) -> Recipe:
    text = _json(document, thing=thing)
    try:
        # from JSON, where strict means: a list is a tuple, text is an enum's value, nothing else changes
        return Recipe.model_validate_json(text, strict=True)
    except ValidationError as error:
        found = problems(error, document=json.loads(text), root=Recipe, overrides=overrides)
        raise RecipeError(thing, found=_listing(found)) from error


def _json(document: Mapping[str, object], *, thing: str) -> str:
    try:
        return json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecipeError(thing, found=f"a value that no recipe can hold: {error}") from error


def _listing(found: Sequence[str]) -> str:
    if len(found) == 1:
        return found[0]
    return f"{len(found)} problems:\n" + ";\n".join(f"  {problem}" for problem in found)
