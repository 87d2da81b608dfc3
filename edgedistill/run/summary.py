"""summary.json: the machine-readable end of every run. The HTML page and the CLI table are drawn from it alone."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic needs it at run time
from typing import Annotated, Literal

from pydantic import Field

from edgedistill.bench.latency import InstructionRecord, LatencyRecord, UnsteadyRecord
from edgedistill.evaluate.executor import Execution
from edgedistill.evaluate.record import Record

FILE = "summary.json"


class Rung(Record):
    """One step of the accuracy ladder from the teacher to the device."""

    stage: str
    """`teacher`, `student-alone`, `student` (distilled, fp32), `program` (INT8), `artifact`."""
    target: str | None = None
    """`target/profile` for an artifact."""
    metric: str = "accuracy"
    """Name of the metric."""
    value: float | None
    """Share from 0 to 1; none when it was not run."""
    n: int
    """Evaluation samples."""
    student: float | None = None
    """The fp32 student's value on the same samples, where they are a part of the evaluation set."""
    execution: Execution
    """What stands behind the value."""
    executor: str
    """Runtime, version, options, machine."""
    parameters: int | None = None
    """Weights of the model, where it is one of ours."""
    size_bytes: int | None = None
    """Size of the model file, where there is one."""
    note: str = ""
    """Why it was not run, or what to know."""


class FileRecord(Record):
    """One file of an artifact."""

    path: str
    size_bytes: int
    sha256: str


class ArtifactRecord(Record):
    """One built artifact."""

    target: str
    profile: str
    folder: str
    """Path relative to the run directory."""
    model: str
    """Path of the model file inside the folder."""
    files: tuple[FileRecord, ...]
    fp32_bytes: int
    """Size of the fp32 ONNX file of the same student."""
    readback_tensors: int
    """Tensors whose codes, scales and zero points were read back from the saved file."""
    readback_equal: int
    """Those that equal the program's bit for bit."""


class ParityLimits(Record):
    """What a gate of agreement wants, where an executor's arithmetic is another than the program's."""

    max_steps: float
    """Output steps within which two values count as equal."""
    min_within_steps: float
    """Least share of outputs within them."""
    min_top1_agreement: float
    """Least share of samples with the same class."""


class ParityRecord(Record):
    """How far two executors of the same model agree."""

    target: str
    """`target/profile`."""
    reference: str
    """Name of the first executor."""
    reference_execution: Execution
    other: str
    """Name of the second executor."""
    other_execution: Execution
    label: str
    """The second executor's runtime, version, options, machine."""
    n: int
    """Samples compared; 0 when not run."""
    top1_agreement: float | None
    """Share of samples with the same class."""
    identical_outputs: float | None
    """Share of output values with identical bits."""
    within_one_step: float | None
    """Share of output values within `max_steps` output steps."""
    largest_steps: float | None
    """Largest difference in output steps."""
    step: float
    """One output step: the reference outputs' range divided by 255."""
    passed: bool | None
    """Whether the gate passed; none when not run."""
    limits: ParityLimits | None = None
    """What the gate wants; none stands for the recipe's."""
    note: str = ""


class InspectionRecord(Record):
    """What was found in a saved artifact by reading it, without running it."""

    target: str
    """`target/profile`."""
    name: str
    """What was looked at."""
    label: str
    """By what, and what that is not."""
    execution: Literal[Execution.PARSED] = Execution.PARSED
    passed: bool | None
    """Whether the gate passed; none when not run."""
    found: str
    wanted: str
    details: dict[str, object] = {}
    """For machines; what is in it, the target's README says."""


class SensitivityRecord(Record):
    """What quantizing one layer does to the outputs, before fine-tuning."""

    spec: str
    """The spec's title."""
    node: str
    """Operator in the program."""
    layer: str
    """Dotted path of its module."""
    alone_sqnr_db: float
    """Signal to quantization noise of the outputs, in dB, with this layer alone quantized."""
    alone_agreement: float
    """Share of samples with the same class as in float, with this layer alone quantized."""
    others_sqnr_db: float
    """As `alone_sqnr_db`, with everything quantized but this layer."""
    others_agreement: float
    """As `alone_agreement`, with everything quantized but this layer."""


class FloatLayerRecord(Record):
    """A layer that stays in float."""

    spec: str
    node: str
    layer: str
    accuracy_before: float
    """Of the program with this layer quantized."""
    accuracy_after: float
    """Of the program with this layer in float."""


class FloatOperator(Record):
    """An operator that multiplies and accumulates in float."""

    node: str
    kind: str
    macs: int


class IntegerShareRecord(Record):
    """What a runtime computes with integers, from the graph that it runs."""

    target: str
    """`target/profile`."""
    label: str
    """Whose graph it is: runtime, version, options, machine."""
    fraction: float
    """Multiply-accumulates with integer kernels over all of them."""
    macs: int
    """All of them, for one sample."""
    floats: tuple[FloatOperator, ...]
    """Products in float."""
    islands: dict[str, int]
    """Other operators in float, by type, with their number."""
    wanted: float
    """The recipe's limit; 0 means none."""


class DeviceRecord(Record):
    """How one stage of one artifact ended on one device."""

    stage: Literal["verify", "bench"]
    target: str
    """`target/profile`."""
    device: str
    """Address or name of the inventory."""
    execution: Execution
    """What the device is: `device`, `emulated`, `host`; `not-run` where it could not be reached or the work failed."""
    machine: str | None = None
    """`uname -m` of it."""
    facts: dict[str, str] = {}
    """What was probed of it."""
    error: str | None = None
    """Why it gave nothing; none where it did."""
    log_file: str
    """Its log, path relative to the run directory."""


class StageRecord(Record):
    """One stage of the run."""

    name: str
    key: str
    state: Literal["done", "cached", "failed", "not-run"]
    wall_s: float
    cpu_s: float
    note: str = ""


class TeacherOutputsRecord(Record):
    """The teacher's outputs that the student learned from: where they came from, and how they are kept."""

    samples: int
    views: int
    """Views of each sample."""
    hit_rate: float
    """Share of samples and views, 0 to 1, that the cache had already when they were first asked for."""
    classes: int
    """Outputs of the teacher."""
    kept_logits: int
    """Of each sample and view; fewer than `classes` where only the largest are kept."""
    temperature: float | None = None
    """At which the probability of the classes that are not kept is right; none where all are kept."""
    logits_bytes: int
    features_bytes: dict[str, int] = {}
    """By the teacher's layer."""
    features_type: str
    """`float16` or `int8`."""
    errors: dict[str, float] = {}
    """What storing lost, largest of any 1,024 rows: of `logits` the mean total variation of the class distribution, of
    `features/LAYER` the relative root mean square; empty for plain float16."""


class CurvePoint(Record):
    """One epoch of a training."""

    epoch: float
    loss: float
    accuracy: float | None
    """On the evaluation set."""
    learning_rate: float


class Curve(Record):
    """The history of one training."""

    name: str
    """`student`, `student-alone`, `finetune`."""
    points: tuple[CurvePoint, ...]


class Confusion(Record):
    """Confusion matrix of one rung."""

    stage: str
    counts: tuple[tuple[int, ...], ...]
    """Rows are true classes, columns predicted ones."""


class AgreementRecord(Record):
    """How often a model gives the teacher's answer."""

    stage: str
    """`student` or `artifact`."""
    target: str | None = None
    """`target/profile` for an artifact."""
    measure: str
    """`same class as the teacher`, `same nearest neighbour as by the teacher`, `rank correlation of similarities`,
    `share of pixels at their class`, `share of pixels at the teacher's class`."""
    value: float
    """Share from 0 to 1; of the correlation, -1 to 1."""
    n: int
    """Evaluation samples, with or without a known class."""
    execution: Execution


class MaskPicture(Record):
    """Some evaluation samples of a segmentation: the images, their masks, and what a model answers."""

    stage: str
    """`student` or `artifact`."""
    target: str | None = None
    """`target/profile` for an artifact."""
    execution: Execution
    png: str = Field(pattern=r"^[A-Za-z0-9+/]+=*$")
    """A PNG file in base64: three rows, images, masks and answers, one column a sample."""
    samples: tuple[int, ...]
    """Their numbers in the evaluation set."""
    colours: tuple[Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")], ...]
    """Of the classes, in label order."""


class AbstentionPoint(Record):
    """Accuracy among the samples that are answered."""

    threshold: float
    """A sample is answered if its largest probability is at least this."""
    answered: float
    """Share of the samples, 0 to 1."""
    accuracy: float
    """Share of the answered ones that are right, 0 to 1."""


class AbstentionCurve(Record):
    """Accuracy against the share answered, where the model abstains when it is least sure."""

    stage: str
    """`student` or `artifact`."""
    target: str | None = None
    """`target/profile` for an artifact."""
    metric: str
    """What a right answer is: `accuracy`, or `agreement with the teacher`."""
    n: int
    """Evaluation samples whose class is known."""
    execution: Execution
    points: tuple[AbstentionPoint, ...]
    """The share answered falls."""


class SynthesisRecord(Record):
    """Samples that were made from the teacher: no measured data."""

    origin: Literal["synthesised from the teacher"]
    method: str
    used_as: str
    """`transfer set and calibration set`, `calibration set`, `evaluation set`."""
    samples: int
    steps: int
    """Of each batch."""
    wall_s: float
    """Of this run; batches that were found take none."""
    size_bytes: int
    confidence: float
    """Mean of the teacher's largest probability on them, 0 to 1."""
    min_confidence: float
    """What the gate wants."""
    entropy_nats: float
    """Mean entropy of the teacher's class distribution."""
    agreement: float
    """Share to which the teacher gives the class that they were made for."""
    counts: tuple[int, ...]
    """How often each class is the teacher's answer."""
    least_share: float
    """The rarest answer's share, as a part of an even share."""
    min_class_share: float
    """What the gate wants."""
    statistics_at_start: float
    """Distance to the teacher's BatchNorm statistics, mean over its layers, of the noise it began with."""
    statistics_at_end: float
    """Of the samples."""
    picture_file: str | None = None
    """Some of the images; path relative to the run directory."""


class GateRecord(Record):
    """One check that the run must pass."""

    name: str
    passed: bool | None
    """None when it could not be run here."""
    found: str
    wanted: str


class Summary(Record):
    """Everything a reader of the run needs."""

    schema_version: Literal["edgedistill.summary/1"] = "edgedistill.summary/1"
    name: str
    recipe: dict[str, object]
    """The recipe as it was run, defaults filled in."""
    synthetic: str = ""
    """What made the training samples, where no sensor or person did."""
    synthetic_evaluation: str | None = None
    """The same of the evaluation samples; none where that was not recorded: then they are as the training samples."""
    classes: tuple[str, ...]
    versions: dict[str, str]
    """edgedistill, python, torch, onnx, onnxruntime, numpy."""
    machine: dict[str, str]
    """CPU, cores, system of the workstation."""
    ladder: tuple[Rung, ...]
    artifacts: tuple[ArtifactRecord, ...]
    parity: tuple[ParityRecord, ...]
    inspections: tuple[InspectionRecord, ...] = ()
    latency: tuple[LatencyRecord, ...] = ()
    unsteady: tuple[UnsteadyRecord, ...] = ()
    instructions: tuple[InstructionRecord, ...] = ()
    devices: tuple[DeviceRecord, ...] = ()
    gates: tuple[GateRecord, ...]
    stages: tuple[StageRecord, ...]
    teacher_outputs: tuple[TeacherOutputsRecord, ...] = ()
    curves: tuple[Curve, ...] = ()
    confusion: tuple[Confusion, ...] = ()
    sensitivity: tuple[SensitivityRecord, ...] = ()
    float_layers: tuple[FloatLayerRecord, ...] = ()
    integer_share: tuple[IntegerShareRecord, ...] = ()
    agreement: tuple[AgreementRecord, ...] = ()
    mask_pictures: tuple[MaskPicture, ...] = ()
    abstention: tuple[AbstentionCurve, ...] = ()
    synthesis: tuple[SynthesisRecord, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def evaluated_on(self) -> str:
        """What made the evaluation samples, where no sensor or person did."""
        return self.synthetic if self.synthetic_evaluation is None else self.synthetic_evaluation


def summary_from_file(path: Path) -> Summary:
    """Return the summary of a run directory's summary.json."""
    return Summary.model_validate_json(path.read_text("utf-8"))
