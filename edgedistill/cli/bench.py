"""`edgedistill bench`."""

from edgedistill.cli.arguments import (
    DevicesOption,
    DryRunOption,
    FolderOption,
    JsonOption,
    OverridesArgument,
    RecipeArgument,
)
from edgedistill.cli.stages import run_until


def bench(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    *,
    devices: DevicesOption = None,
    folder: FolderOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Do the stages that end with the latencies."""
    run_until("bench", recipe, overrides, devices=devices, folder=folder, dry_run=dry_run, as_json=as_json)
