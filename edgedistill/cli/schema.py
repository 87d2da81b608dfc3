"""`edgedistill schema`."""

from typing import Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.output import document


def schema(
    *,
    measurement: Annotated[
        bool, typer.Option("--measurement", help="The schema of what a device's runner prints, instead.")
    ] = False,
    as_json: JsonOption = False,  # noqa: ARG001 - the schema is one JSON document anyway
) -> None:
    """Print the JSON schema of a recipe: every key with its meaning, type and range."""
    if measurement:
        from edgedistill.bench.recording import recording_schema

        document(recording_schema())
        return
    from edgedistill.recipe import recipe_schema

    document(recipe_schema())
