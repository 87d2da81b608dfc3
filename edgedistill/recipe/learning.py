"""How the student learns: losses and the training loop."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from edgedistill.recipe.section import LayerPath, Scalar, Section, Share


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
