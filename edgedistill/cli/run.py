"""`edgedistill run`."""

from edgedistill.cli.arguments import (
    DevicesOption,
    DryRunOption,
    FolderOption,
    JsonOption,
    OverridesArgument,
    RecipeArgument,
)
from edgedistill.cli.stages import run_until


def run(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    *,
    devices: DevicesOption = None,
    folder: FolderOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Do every stage of a recipe that is not up to date."""
    run_until("report", recipe, overrides, devices=devices, folder=folder, dry_run=dry_run, as_json=as_json)
