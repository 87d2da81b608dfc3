"""`edgedistill verify`."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.arguments import (
    DevicesOption,
    DryRunOption,
    FolderOption,
    JsonOption,
    OverridesArgument,
    RecipeArgument,
)
from edgedistill.cli.output import document, say
from edgedistill.cli.stages import run_until
from edgedistill.errors import GateError

if TYPE_CHECKING:
    from edgedistill.evaluate.bisect import Bisection, TensorMatch
    from edgedistill.run.bisect import ArtifactBisection


def verify(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    *,
    devices: DevicesOption = None,
    folder: FolderOption = None,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Name the first tensor whose codes differ from the program's.")
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Do the stages that end with the gates: read-back, agreement, accuracy."""
    if bisect and not dry_run:
        _bisect(recipe, overrides or (), folder=folder, as_json=as_json)
        return
    run_until("verify", recipe, overrides, devices=devices, folder=folder, dry_run=dry_run, as_json=as_json)


def _bisect(recipe: Path, overrides: Sequence[str], *, folder: Path | None, as_json: bool) -> None:
    from edgedistill.cli.progress import progress_on_terminal
    from edgedistill.run.bisect import bisect_run
    from edgedistill.run.pipeline import Stage, plan

    planned = plan(recipe, overrides=overrides, folder=folder, until=Stage.BUILD)
    with progress_on_terminal() as progress:
        results = bisect_run(planned, progress=progress)
    if as_json:
        document([asdict(result) for result in results])
    else:
        for result in results:
            _show(result)
    differing = [result for result in results if result.differs]
    if differing:
        named = ", ".join(f"{result.target} in {result.executor}" for result in differing)
        raise GateError(f"run '{planned.folder}'", found=f"codes or outputs differ from the program's: {named}")


def _show(result: "ArtifactBisection") -> None:
    if result.found is None:
        say(f"{result.target} in {result.executor}: not compared, {result.reason}")
        return
    found = result.found
    say(f"{result.target} in {result.executor} ({result.label}), {found.samples} samples")
    if found.first is None:
        codes = sum(match.values for match in found.equal)
        outputs = "the same bits" if found.outputs_equal else "other bits: they are computed in float behind the codes"
        say(f"  no difference in {codes:,} codes of {len(found.equal)} tensors; the outputs have {outputs}")
    else:
        _show_first(found, found.first)
    if found.missing:
        say(f"  not seen in the runtime: {', '.join(found.missing)}")
    if not found.same_kernels:
        say("  note: the runtime used other operators while it was looked into than it uses otherwise")


def _show_first(found: "Bisection", first: "TensorMatch") -> None:
    layer = f" of layer '{first.layer}'" if first.layer else ""
    say(f"  first difference: tensor '{first.tensor}'{layer}")
    say(f"    program:  {first.operator} gives code {first.program_code}")
    say(f"    artifact: {first.kernel} gives code {first.artifact_code}")
    if first.place:
        sample, *index = first.place
        say(f"    at sample {sample}, index {tuple(index)}")
    say(f"    {first.differing:,} of {first.values:,} codes differ, by at most {first.largest}")
    before = f"{len(found.equal)} tensors before it are equal" if found.equal else "it is the first tensor"
    say(f"    {before}")
