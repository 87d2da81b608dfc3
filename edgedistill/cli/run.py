"""`edgedistill run`."""

from edgedistill.cli.arguments import (
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
    folder: FolderOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Do every stage of a recipe that is not up to date."""
    run_until("report", recipe, overrides, folder=folder, dry_run=dry_run, as_json=as_json)
