"""The Python interface, one function per verb of the command line; each returns the run's summary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.progress import SILENT
from edgedistill.run.pipeline import Stage, execute, plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedistill.distill.history import Callback
    from edgedistill.progress import Progress
    from edgedistill.run.summary import Summary

__all__ = ["benchmark", "build", "distill", "execute", "plan", "quantize", "run", "verify"]


def run(
    recipe: Path | str,
    *,
    folder: Path | str | None = None,
    overrides: Sequence[str] = (),
    callbacks: Sequence[Callback] = (),
    progress: Progress = SILENT,
) -> Summary:
    """Do every stage of a recipe that is not up to date.

    Args:
        recipe: path of the YAML file.
        folder: the run directory; none means `runs/NAME`, NAME being the recipe's name.
        overrides: `dotted.key=value`, as on the command line.
        callbacks: functions that are called with a `StepInfo` before each step of a training, and with an `EpochInfo`
            after each epoch (`edgedistill.distill.history`).
        progress: where long jobs report to.

    Raises:
        RecipeError: the recipe has an unknown key or a value out of range.
        GateError: the artifact is not what was trained, or not good enough; summary and report are written.
        EdgeDistillError: any other of its subclasses, see `edgedistill.errors`.
    """
    return _until(Stage.REPORT, recipe, folder=folder, overrides=overrides, callbacks=callbacks, progress=progress)


def distill(
    recipe: Path | str,
    *,
    folder: Path | str | None = None,
    overrides: Sequence[str] = (),
    callbacks: Sequence[Callback] = (),
    progress: Progress = SILENT,
) -> Summary:
    """Do the stages that end with the trained fp32 student; arguments and errors are those of `run`."""
    return _until(Stage.DISTILL, recipe, folder=folder, overrides=overrides, callbacks=callbacks, progress=progress)


def quantize(
    recipe: Path | str,
    *,
    folder: Path | str | None = None,
    overrides: Sequence[str] = (),
    callbacks: Sequence[Callback] = (),
    progress: Progress = SILENT,
) -> Summary:
    """Do the stages that end with the quantized program; arguments and errors are those of `run`."""
    return _until(Stage.QUANTIZE, recipe, folder=folder, overrides=overrides, callbacks=callbacks, progress=progress)


def build(
    recipe: Path | str,
    *,
    folder: Path | str | None = None,
    overrides: Sequence[str] = (),
    callbacks: Sequence[Callback] = (),
    progress: Progress = SILENT,
) -> Summary:
    """Do the stages that end with the artifacts; arguments and errors are those of `run`."""
    return _until(Stage.BUILD, recipe, folder=folder, overrides=overrides, callbacks=callbacks, progress=progress)


def verify(
    recipe: Path | str,
    *,
    folder: Path | str | None = None,
    overrides: Sequence[str] = (),
    callbacks: Sequence[Callback] = (),
    progress: Progress = SILENT,
) -> Summary:
    """Do the stages that end with the three gates; arguments and errors are those of `run`."""
    return _until(Stage.VERIFY, recipe, folder=folder, overrides=overrides, callbacks=callbacks, progress=progress)


def benchmark(
    recipe: Path | str,
    *,
    folder: Path | str | None = None,
    overrides: Sequence[str] = (),
    callbacks: Sequence[Callback] = (),
    progress: Progress = SILENT,
) -> Summary:
    """Do the stages that end with the latencies; arguments and errors are those of `run`."""
    return _until(Stage.BENCH, recipe, folder=folder, overrides=overrides, callbacks=callbacks, progress=progress)


def _until(
    stage: Stage,
    recipe: Path | str,
    *,
    folder: Path | str | None,
    overrides: Sequence[str],
    callbacks: Sequence[Callback],
    progress: Progress,
) -> Summary:
    planned = plan(Path(recipe), overrides=overrides, folder=None if folder is None else Path(folder), until=stage)
    return execute(planned, callbacks=callbacks, progress=progress)
