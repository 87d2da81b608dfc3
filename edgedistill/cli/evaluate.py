"""`edgedistill eval`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.output import document, facts, say
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from edgedistill.data.transfer_set import Samples
    from edgedistill.progress import Progress
    from edgedistill.recipe import Data


def evaluate(
    artifact: Annotated[
        Path, typer.Argument(metavar="ARTIFACT", help="A folder that `build` wrote.", show_default=False)
    ],
    *,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="SOURCE", help="A data source: fashion-mnist, image-folder:PATH, npz:PATH."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="RECIPE", help="A recipe, whose data source is taken.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the accuracy of a built artifact on an evaluation split, in this machine's ONNX Runtime."""
    from edgedistill.cli.progress import progress_on_terminal

    with progress_on_terminal() as progress:
        samples = evaluation_samples(artifact, data=data, recipe=recipe, progress=progress)
    from edgedistill.run.artifact_accuracy import accuracy_of_artifact

    rung = accuracy_of_artifact(artifact, samples)
    if as_json:
        document(rung.model_dump(mode="json"))
        return
    say(str(artifact))
    facts({name: value for name, value in rung.model_dump(mode="json").items() if value not in (None, "")})


def evaluation_samples(artifact: Path, *, data: str | None, recipe: Path | None, progress: "Progress") -> "Samples":
    """Return the evaluation split of a recipe, or of a source that is preprocessed as the artifact says."""
    from edgedistill.data.sources import load
    from edgedistill.recipe import recipe_from_yaml

    if data is not None and recipe is None:
        section, home = _data_section(artifact, data), Path.cwd()
    elif recipe is not None and data is None:
        section, home = recipe_from_yaml(recipe).data, recipe.resolve().parent
    else:
        raise InputError("eval", found="both or none", wanted="either --data SOURCE or --recipe RECIPE")
    return load(
        section.source,
        "test",
        preprocessing=section.preprocessing,
        classes=section.classes,
        recipe_folder=home,
        progress=progress,
    )


def _data_section(artifact: Path, source: str) -> "Data":
    from edgedistill.recipe import Data
    from edgedistill.targets.folder import open_artifact

    _, manifest = open_artifact(artifact)
    try:
        return Data(source=source, classes=tuple(manifest["classes"]), preprocessing=manifest["preprocessing"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"artifact '{artifact}'", found="a manifest without classes or preprocessing") from error
