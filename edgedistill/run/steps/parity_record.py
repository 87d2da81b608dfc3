"""What the summary says of two executors of one program, here and on devices."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from edgedistill.evaluate.executor import Limits, StatesLimits
from edgedistill.evaluate.parity import parity
from edgedistill.run.summary import ParityLimits, ParityRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.evaluate.executor import Executor
    from edgedistill.run.context import Context


def parity_record(
    context: Context,
    *,
    target: str,
    before: Executor,
    reference: NDArray[np.float32],
    executor: Executor,
    outputs: NDArray[np.float32],
) -> ParityRecord:
    """Compare an executor with the one before it, by the recipe's limits or the executor's wider ones.

    Args:
        context: of the run, whose judge says what outputs answer.
        target: the artifact's title.
        before: what computed the reference.
        reference: its outputs, (n, ...), float32.
        executor: what computed the outputs.
        outputs: the same shape.
    """
    limits = _limits(context, executor)
    found = parity(reference, outputs, max_steps=limits.max_steps, answers=context.judge.answers)
    agrees = found.top1_agreement >= limits.min_top1_agreement
    return ParityRecord(
        target=target,
        reference=before.name,
        reference_execution=before.execution,
        other=executor.name,
        other_execution=executor.execution,
        label=executor.label,
        n=found.n,
        top1_agreement=found.top1_agreement,
        identical_outputs=found.identical_outputs,
        within_one_step=found.within_steps,
        largest_steps=found.largest_steps,
        step=found.step,
        passed=agrees and found.within_steps >= limits.min_within_steps,
        limits=ParityLimits(**asdict(limits)) if isinstance(executor, StatesLimits) else None,
        note="" if found.first_sample is None else f"first differing sample: {found.first_sample}",
    )


def _limits(context: Context, executor: Executor) -> Limits:
    """Return the recipe's limits, or the executor's where those are wider."""
    settings = context.recipe.verify
    wanted = Limits(settings.max_steps, settings.min_within_steps, settings.min_top1_agreement)
    return wanted.widened(executor.limits) if isinstance(executor, StatesLimits) else wanted
