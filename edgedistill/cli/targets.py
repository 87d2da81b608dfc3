"""`edgedistill targets`: what a recipe can build for."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.guard import guarded
from edgedistill.cli.output import document, facts, say, table
from edgedistill.errors import GateError, InputError, UnsupportedError

if TYPE_CHECKING:
    from edgedistill.targets.base import DeviceProfile, FileCheck, Inspection, Target

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


def check(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file: model.onnx.", show_default=False)],
    *,
    target: Annotated[str, typer.Option("--target", metavar="NAME", help="Name of the target.", show_default=False)],
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="Device profile of the target.", show_default=False)
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="What the target's README names: tensorrt=8.6."),
    ] = None,
    build: Annotated[bool, typer.Option("--build", help="Also try the vendor's own builder, where installed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check any model file against the rules of a target: what is refused, what silently runs in float, and the fix."""
    from edgedistill.targets.base import ChecksFiles, Severity, profile_named
    from edgedistill.targets.registry import target_named

    chosen = target_named(target)
    if not isinstance(chosen, ChecksFiles):
        raise UnsupportedError(f"target '{target}'", found="it checks only what edgedistill builds for it")
    device = profile_named(chosen, profile) if profile else None
    found = chosen.check_file(model, device, _options(option or []))
    inspections = chosen.inspect_file(model) if build else ()
    _print_check(model, found, inspections, as_json=as_json)
    errors = [issue for issue in found.issues if issue.severity is Severity.ERROR]
    failed = [item for item in inspections if item.passed is False]
    if errors or failed:
        told = [f"{len(errors)} error(s)"] if errors else []
        told += [f"{item.name}: {item.found}" for item in failed]
        raise GateError(f"model '{model}' for {found.title}", found="; ".join(told))


def _options(texts: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for name, sign, value in pairs:
        if not (name and sign and value):
            raise InputError("--option", found=repr(name + sign + value), wanted="KEY=VALUE")
    return {name: value for name, _, value in pairs}


def _print_check(model: Path, found: "FileCheck", inspections: Sequence["Inspection"], *, as_json: bool) -> None:
    if as_json:
        issues = [asdict(issue) for issue in found.issues]
        built = [asdict(item) for item in inspections]
        document({"model": str(model), "judged_for": found.title, "issues": issues, "inspections": built})
        return
    say(f"{model} for {found.title}: {len(found.issues)} finding(s)")
    if found.issues:
        rows = [(issue.severity, issue.rule, issue.node, issue.message, issue.fix) for issue in found.issues]
        table(("severity", "rule", "node", "what happens", "fix"), rows)
    for item in inspections:
        passed = {True: "passed", False: "failed", None: "not run"}[item.passed]
        say(f"{item.name}: {passed}: {item.found} ({item.label})")


def _profile_document(target: "Target", profile: "DeviceProfile") -> dict[str, object]:
    return {
        "name": profile.name,
        "title": profile.title,
        **profile.facts,
        "quantization": asdict(target.quant_spec(profile)),
    }


app.callback(invoke_without_command=True)(guarded(list_targets))
app.command("show")(guarded(show))
app.command("check")(guarded(check))
