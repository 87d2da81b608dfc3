"""Step `verify`: the artifact, executed, against the program; every executor labelled for what it is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.errors import DependencyError, DeviceError, UnsupportedError
from edgedistill.evaluate.executor import Execution
from edgedistill.evaluate.integer_share import integer_share
from edgedistill.evaluate.onnx_runtime import OnnxRuntimeExecutor
from edgedistill.evaluate.torch_executors import ProgramExecutor
from edgedistill.quantize.program import load_program
from edgedistill.recipe import Emulate
from edgedistill.run.steps.answers import Subject, abstention_records, agreement_records
from edgedistill.run.steps.build import artifact_folder
from edgedistill.run.steps.mask_picture import mask_pictures
from edgedistill.run.steps.outcome import Outcome
from edgedistill.run.steps.parity_record import parity_record
from edgedistill.run.steps.quantize import program_folder
from edgedistill.run.steps.rungs import confusions, rung, rung_not_run
from edgedistill.run.summary import FloatOperator, InspectionRecord, IntegerShareRecord, ParityRecord
from edgedistill.targets.base import Inspects
from edgedistill.targets.folder import model_bytes, open_artifact
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedistill.evaluate.executor import Executor
    from edgedistill.recipe import TargetChoice
    from edgedistill.run.context import Context
    from edgedistill.run.summary import Confusion, Rung
    from edgedistill.targets.base import Inspection

logger = logging.getLogger(__name__)


def verify(context: Context, choice: TargetChoice) -> Outcome:
    """Run the artifact in every executor of its target, and compare each with the one before it."""
    proof = _Proof(context, choice)
    proof.run()
    return Outcome(
        {
            "rungs": [item.model_dump(mode="json") for item in proof.rungs],
            "parity": [item.model_dump(mode="json") for item in proof.parity],
            "confusion": [item.model_dump(mode="json") for item in proof.confusion],
            "integer_share": [item.model_dump(mode="json") for item in proof.shares],
            "inspections": [item.model_dump(mode="json") for item in proof.inspections],
            "agreement": proof.agreement,
            "mask_pictures": proof.pictures,
            "abstention": proof.abstention,
        }
    )


class _Proof:
    """Collects what each executor of one artifact answered."""

    def __init__(self, context: Context, choice: TargetChoice) -> None:
        self.context, self.choice = context, choice
        self.title = choice.title
        self.rungs: list[Rung] = []
        self.parity: list[ParityRecord] = []
        self.confusion: list[Confusion] = []
        self.shares: list[IntegerShareRecord] = []
        self.inspections: list[InspectionRecord] = []
        self.agreement: list[dict[str, object]] = []
        self.pictures: list[dict[str, object]] = []
        self.abstention: list[dict[str, object]] = []

    def run(self) -> None:
        target = target_named(self.choice.target)
        artifact, _ = open_artifact(artifact_folder(self.context, self.choice))
        program = load_program(program_folder(self.context, self.context.keys.spec(self.choice)))
        before: Executor = ProgramExecutor(program)
        reference = self._outputs(before)
        size, student = model_bytes(artifact), self.context.student_on_the_proof
        for executor in target.executors(artifact):
            reason = self._reason_to_skip(executor)
            try:
                outputs = None if reason else self._outputs(executor)
            except (DependencyError, DeviceError, UnsupportedError) as error:
                if executor.execution is Execution.HOST or self.context.recipe.verify.emulate is Emulate.REQUIRE:
                    raise
                logger.warning("%s was not run: %s", executor.name, error)
                outputs, reason = None, str(error)
            if outputs is None:
                self._not_run(before, executor, reason)
                continue
            judge = self.context.judge
            self.rungs.append(
                rung("artifact", executor, outputs, judge, target=self.title, size_bytes=size, student=student)
            )
            self.confusion.extend(confusions(f"artifact {executor.name}", outputs, judge))
            subject = Subject("artifact", executor.execution, self.title)
            self.agreement += agreement_records(self.context, subject, outputs)
            self.pictures += mask_pictures(self.context, subject, outputs)
            self.abstention += abstention_records(self.context, subject, outputs)
            compared = parity_record(
                self.context, target=self.title, before=before, reference=reference, executor=executor, outputs=outputs
            )
            self.parity.append(compared)
            if isinstance(executor, OnnxRuntimeExecutor):
                self.shares.append(self._integer_share(executor))
            before, reference = executor, outputs
        if isinstance(target, Inspects):
            self.inspections = [self._recorded(item) for item in target.inspections(artifact)]

    def _recorded(self, item: Inspection) -> InspectionRecord:
        return InspectionRecord(
            target=self.title,
            name=item.name,
            label=item.label,
            passed=item.passed,
            found=item.found,
            wanted=item.wanted,
            details=dict(item.details),
        )

    def _integer_share(self, executor: OnnxRuntimeExecutor) -> IntegerShareRecord:
        sample = self.context.evaluation_set.plain(np.arange(1)).inputs
        found = integer_share(executor.path, sample, options=executor.options)
        return IntegerShareRecord(
            target=self.title,
            label=executor.label,
            fraction=found.fraction,
            macs=sum(item.macs for item in (*found.integers, *found.floats)),
            floats=tuple(FloatOperator(node=item.node, kind=item.kind, macs=item.macs) for item in found.floats),
            islands=dict(found.islands),
            wanted=self.context.recipe.verify.min_integer_share,
        )

    def _outputs(self, executor: Executor) -> NDArray[np.float32]:
        with self.context.progress.track(f"verify in {executor.name}", total=1) as tracker:
            outputs = self.context.outputs(executor, samples=self.context.recipe.verify.samples)
            tracker.advance()
        return outputs

    def _reason_to_skip(self, executor: Executor) -> str:
        emulated = executor.execution is Execution.EMULATED
        never = self.context.recipe.verify.emulate is Emulate.NEVER
        return "the recipe says `verify.emulate: never`" if emulated and never else ""

    def _not_run(self, before: Executor, executor: Executor, reason: str) -> None:
        self.rungs.append(rung_not_run("artifact", target=self.title, executor=executor.name, note=reason))
        self.parity.append(
            ParityRecord(
                target=self.title,
                reference=before.name,
                reference_execution=before.execution,
                other=executor.name,
                other_execution=Execution.NOT_RUN,
                label="not run",
                n=0,
                top1_agreement=None,
                identical_outputs=None,
                within_one_step=None,
                largest_steps=None,
                step=0.0,
                passed=None,
                note=reason,
            )
        )
