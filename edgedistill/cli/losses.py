"""`edgedistill losses`: what a recipe's `distill.losses` can name."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.guard import guarded
from edgedistill.cli.output import document, facts, say, table
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from edgedistill.distill.methods.base import Method, Options

app = typer.Typer()


def list_losses(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """List the methods of distillation that a recipe can name; `show` tells the options of one."""
    if context.invoked_subcommand is not None:
        return
    from edgedistill.distill.methods.registry import method_named, method_names

    methods, broken = [], []
    for name in method_names():
        try:
            methods.append(method_named(name))
        except InputError as error:  # another package's: the others are still there
            broken.append({"method": name, "problem": str(error)})
    if as_json:
        document([*map(_described, methods), *broken])
        return
    rows = [(item.name, item.kind, f"{item.weight:g}", item.beside, item.title, item.source) for item in methods]
    table(("method", "learns from", "weight", "beside", "what it does", "source"), rows)
    for item in broken:
        say(f"not usable: {item['problem']}")


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the method.", show_default=False)],
    *,
    as_json: JsonOption = False,
) -> None:
    """Show one method: source, weight, and each option with its default and meaning."""
    from edgedistill.distill.methods.description import options_of
    from edgedistill.distill.methods.registry import method_named

    method = method_named(name)
    described = _described(method)
    if as_json:
        document(described)
        return
    say(f"{method.name}: {method.title}")
    facts({key: value for key, value in described.items() if key not in ("method", "title", "options")})
    rows = [(item.name, json.dumps(item.default), item.wanted, item.meaning) for item in options_of(method)]
    if rows:
        table(("option", "default", "wanted", "meaning"), rows)


def _described(method: "Method[Options]") -> dict[str, object]:
    from edgedistill.distill.methods.description import options_of

    return {
        "method": method.name,
        "title": method.title,
        "source": method.source,
        "learns_from": str(method.kind),
        "weight": method.weight,
        "beside": method.beside,
        "options": [asdict(option) for option in options_of(method)],
    }


app.callback(invoke_without_command=True)(guarded(list_losses))
app.command("show")(guarded(show))
