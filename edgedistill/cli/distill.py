"""`edgedistill distill`."""

from edgedistill.cli.arguments import (
    DryRunOption,
    FolderOption,
    JsonOption,
    OverridesArgument,
    RecipeArgument,
)
from edgedistill.cli.stages import run_until


def distill(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    *,
    folder: FolderOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Do the stages that end with the trained fp32 student."""
    run_until("distill", recipe, overrides, folder=folder, dry_run=dry_run, as_json=as_json)
