"""`edgedistill schema`."""

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.output import document


def schema(*, as_json: JsonOption = False) -> None:  # noqa: ARG001 - the schema is one JSON document anyway
    """Print the JSON schema of a recipe: every key with its meaning, type and range."""
    from edgedistill.recipe import recipe_schema

    document(recipe_schema())
