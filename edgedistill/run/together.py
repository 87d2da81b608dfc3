"""One run by several processes: the first does every step, and calls the others to those that are shared."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch

from edgedistill.cache import cache_folder
from edgedistill.distill.parallel.group import joined
from edgedistill.distill.parallel.replicas import require_same
from edgedistill.distill.parallel.shared_files import require_shared
from edgedistill.progress import SILENT
from edgedistill.run.directory import RunDirectory
from edgedistill.run.pipeline import SHARED_STEPS, context_of, executed, work_of
from edgedistill.run.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgedistill.distill.history import Callback
    from edgedistill.distill.parallel.group import Group
    from edgedistill.launcher import Launch
    from edgedistill.progress import Progress
    from edgedistill.run.directory import StepRecord
    from edgedistill.run.pipeline import Plan, PlannedStage

END = ""
"""Comes instead of a step's name, with the summary."""


def executed_together(
    plan: Plan, launched: Launch, *, progress: Progress, callbacks: Sequence[Callback]
) -> tuple[Summary, list[StepRecord]]:
    """Do a plan as one of several processes; arguments and result as of `pipeline.executed`, the summary in all.

    Raises:
        InputError: the processes do not find each other, plan different things, or share no file system.
        LostProcessError: one of them is gone.
        FailedProcessError: one of them ended with an error.
    """
    threads = max(1, plan.keys.threads // launched.local_count)
    with joined(launched) as group:
        keys = repr([(step.name, step.key) for step in plan.stages if step.name in SHARED_STEPS])
        require_same(keys, group, of=f"run '{plan.folder}'")
        require_shared(plan.folder, group, thing="run directory", fix="name one with --folder")
        cache = cache_folder(plan.recipe.cache.folder)
        require_shared(cache, group, thing="cache folder", fix="set `cache.folder` or $EDGEDISTILL_CACHE")
        if not group.is_first:
            return _followed(plan, group, threads=threads), []
        others = partial(_called, group, threads=threads)
        summary, unfinished = executed(plan, progress=progress, callbacks=callbacks, others=others)
        group.from_first((END, summary.model_dump_json()))
        return summary, unfinished


@contextmanager
def _called(group: Group, step: PlannedStage, *, threads: int) -> Iterator[Group]:
    """Call the others to a step; while it lasts, a machine's cores are divided among its processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        group.from_first((step.name, ""))
        yield group
    finally:
        torch.set_num_threads(before)


def _followed(plan: Plan, group: Group, *, threads: int) -> Summary:
    """Do one's share of every step that the first process calls to, until it sends the summary."""
    steps = {step.name: step for step in plan.stages}
    context = context_of(plan, RunDirectory(plan.folder), SILENT)
    torch.set_num_threads(threads)
    while True:
        name, summary = group.from_first((END, ""))
        if name == END:
            return Summary.model_validate_json(summary)
        work_of(steps[name], group)(context)
