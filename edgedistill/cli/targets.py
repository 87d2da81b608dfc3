"""`edgedistill targets`: what a recipe can build for."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.guard import guarded
from edgedistill.cli.output import document, facts, say, table

if TYPE_CHECKING:
    from edgedistill.targets.base import DeviceProfile, Target

app = typer.Typer()


def list_targets(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """List the targets and their device profiles; `show` tells all that is known of one."""
    if context.invoked_subcommand is not None:
        return
    from edgedistill.targets.registry import target_named, target_names

    rows = [
        (name, profile.name, profile.title)
        for name in target_names()
        for profile in target_named(name).profiles().values()
    ]
    if as_json:
        document([{"target": target, "profile": profile, "title": title} for target, profile, title in rows])
    else:
        table(("target", "profile", "device"), rows)


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the target.", show_default=False)],
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what is known of the devices of one target, and how it wants numbers."""
    from edgedistill.targets.registry import target_named

    target = target_named(name)
    profiles = [_profile_document(target, profile) for profile in target.profiles().values()]
    if as_json:
        document({"target": name, "profiles": profiles})
        return
    for profile in profiles:
        say(f"{name}/{profile.pop('name')}")
        facts(profile)


def _profile_document(target: "Target", profile: "DeviceProfile") -> dict[str, object]:
    return {
        "name": profile.name,
        "title": profile.title,
        **profile.facts,
        "quantization": asdict(target.quant_spec(profile)),
    }


app.callback(invoke_without_command=True)(guarded(list_targets))
app.command("show")(guarded(show))
