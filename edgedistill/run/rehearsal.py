"""A rehearsal: the untrained student, quantized for every target and held against its rules before anything is learned.

What a target cannot compute depends on the student's layers and not on what they learn, so it is known within seconds.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistill.distill.features import probe_on_data
from edgedistill.distill.methods.chosen import student_layers
from edgedistill.errors import DependencyError, UnsupportedError
from edgedistill.export.onnx_writer import onnx_from_module
from edgedistill.quantize.annotate import annotate
from edgedistill.quantize.calibrate import GivenBatches, calibrate
from edgedistill.quantize.capture import capture
from edgedistill.quantize.convert import convert
from edgedistill.recipe import Calibration, Importance, RangeMethod
from edgedistill.run import inversion
from edgedistill.targets.base import Issue, Severity, StatesNeeds, profile_named
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.quantize.spec import QuantSpec
    from edgedistill.recipe import TargetChoice
    from edgedistill.run.context import Context


SAMPLES = 8


@dataclass(frozen=True)
class Finding:
    """What a target says of the student.

    Args:
        target: the choice in one word: "jetson-tensorrt/agx-orin+dla=true".
        issue: a broken rule, or what is missing on this machine.
    """

    target: str
    issue: Issue


def rehearse(context: Context, choices: Sequence[TargetChoice]) -> list[Finding]:
    """Return what the targets say of the untrained student; nothing is written, no random state is changed.

    Args:
        context: of a run.
        choices: the targets to ask.

    Raises:
        ModelError: the student does not fit the data, has no such layer as a loss names, cannot start as it is to, or
            cannot be captured or exported.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.recipe.seed)
        student, inputs = _student(context).eval(), _inputs(context)
        programs: dict[QuantSpec, QuantizedProgram] = {}
        found = []
        for choice in choices:
            spec = context.keys.spec(choice)
            if spec not in programs:
                programs[spec] = _program(student, inputs, spec)
            found += _findings(choice, programs[spec])
        if not _errors(found):
            _require_export(student, inputs)
    return found


def refuse(findings: Sequence[Finding]) -> None:
    """Refuse a student by the first rule that it breaks.

    Raises:
        UnsupportedError: a rule of severity error is broken.
    """
    broken = _errors(findings)
    if not broken:
        return
    first = broken[0]
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    raise UnsupportedError(
        f"student for target '{first.target}': rule {first.issue.rule}, {first.issue.node}",
        found=f"{first.issue.message}{more}",
        wanted="a student that the target can compute",
        fix=f"{first.issue.fix}; `edgedistill check RECIPE` lists everything",
    )


def _errors(findings: Sequence[Finding]) -> list[Finding]:
    return [found for found in findings if found.issue.severity is Severity.ERROR]


def _student(context: Context) -> nn.Module:
    """Return the student as it is before training, as far as that needs no samples that have yet to be made."""
    if inversion.is_data(context.recipe):
        return context.bare_student()
    student, start = context.new_student(), context.recipe.student.start
    if start is not None:
        from edgedistill.distill.start.starting import start_from_teacher  # noqa: PLC0415 - only some recipes need it

        # ranking by gradients takes a while, and takes over the same layers
        quick = Importance.L1 if start.importance is Importance.TAYLOR else start.importance
        quicker = start.model_copy(update={"importance": quick})
        start_from_teacher(student, context.teacher, context.transfer_set, quicker)
    probe_on_data(student, context.transfer_set, student_layers(context.distillation), role="student")
    return student


def _inputs(context: Context) -> Tensor:
    """Return a few inputs (n, *input_shape): samples, or noise where the samples have yet to be made."""
    if inversion.is_data(context.recipe):
        shape = context.recipe.data.preprocessing.input_shape
        return torch.randn(SAMPLES, *shape, generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(context.transfer_set.plain(np.arange(min(SAMPLES, len(context.train)))).inputs)


def _require_export(student: nn.Module, inputs: Tensor) -> None:
    """Check that the fp32 student has a form in ONNX: every run writes one beside its artifacts."""
    with tempfile.TemporaryDirectory() as folder:
        onnx_from_module(copy.deepcopy(student), inputs[:2], Path(folder) / "student.onnx")


def _program(student: nn.Module, inputs: Tensor, spec: QuantSpec) -> QuantizedProgram:
    graph = annotate(capture(student, inputs[:2]), spec)
    half = max(1, len(inputs) // 2)
    calibrate(graph, GivenBatches([inputs[:half], inputs[-half:]], Calibration(method=RangeMethod.MIN_MAX)))
    return convert(graph, spec, inputs[:2])


def _findings(choice: TargetChoice, program: QuantizedProgram) -> list[Finding]:
    target = target_named(choice.target)
    profile = profile_named(target, choice.profile, choice.options)
    lacking = list(target.lacking(profile)) if isinstance(target, StatesNeeds) else []
    try:
        issues = [*target.check(program, profile), *(item for item in lacking if item.severity is not Severity.ERROR)]
    except DependencyError as error:
        # not needed before the target builds, and asked for before a run that does
        fix = next((item.fix for item in lacking), error.fix)
        issues = [Issue("needs", "program", Severity.WARNING, f"not checked: {error.found}", fix)]
    return [Finding(choice.title, issue) for issue in issues]
