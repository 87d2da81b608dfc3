"""`edgedistill capture delete`."""

from typing import Annotated

import typer

from edgedistill.cli.arguments import DryRunOption, JsonOption
from edgedistill.cli.capture.options import STORE, StoreOption, WhereOption
from edgedistill.cli.output import document, say
from edgedistill.errors import InputError


def delete(
    names: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", show_default=False)] = None,
    *,
    store: StoreOption = STORE,
    where: WhereOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete completions, by id or by filter, so that their text is nowhere in the store's files any more."""
    from edgedistill.capture.store import Deleted, open_store
    from edgedistill.capture.where import filter_from

    if [bool(names), bool(where), everything].count(True) != 1:
        found = "more than one of the three" if names or where else "nothing"
        raise InputError("what to delete", found=found, wanted="ids, or a filter (--where), or --all")
    chosen = filter_from(where or ())
    with open_store(store) as opened:
        if dry_run:
            count = sum(opened.get(name) is not None for name in names) if names else opened.count(chosen)
            deleted = Deleted(count, wiped=False)
        else:
            deleted = opened.delete(names) if names else opened.delete_matching(chosen)
    if as_json:
        document({"deleted": deleted.completions, "wiped": deleted.wiped, "dry_run": dry_run})
        return
    say(f"{'would delete' if dry_run else 'deleted'} {deleted.completions} completions")
    if not dry_run and not deleted.wiped:
        say("another program is reading the store: what the log still holds goes with the next deletion")
