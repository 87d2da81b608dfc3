"""`edgedistill capture list`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.capture.options import STORE, StoreOption, WhereOption
from edgedistill.cli.output import document, say, table

if TYPE_CHECKING:
    from edgedistill.capture.completion import Completion
    from edgedistill.capture.store import Page

SHOWN = 48
"""Characters of a prompt or an answer in the table."""


def list_completions(
    *,
    store: StoreOption = STORE,
    where: WhereOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many to list.")] = 20,
    after: Annotated[str | None, typer.Option("--after", metavar="ID", help="Begin after this one.")] = None,
    oldest: Annotated[bool, typer.Option("--oldest-first", help="In the order of time; else newest first.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List captured completions, the newest first."""
    from edgedistill.capture.store import Order, open_store
    from edgedistill.capture.where import filter_from

    chosen = filter_from(where or ())
    order = Order.OLDEST_FIRST if oldest else Order.NEWEST_FIRST
    with open_store(store) as opened:
        page = opened.page(chosen, order=order, after=after, limit=limit)
        found = opened.count(chosen)
    _show(page, found, as_json=as_json)


def _show(page: "Page", found: int, *, as_json: bool) -> None:
    if as_json:
        from edgedistill.capture.formats.records import record_of

        records = [record_of(completion) for completion in page.completions]
        document({"matching": found, "has_more": page.has_more, "completions": records})
        return
    table(("id", "created", "model", "prompt", "answer", "finish", "grades"), [_row(one) for one in page.completions])
    say(f"{len(page.completions)} of {found} that match")


def _row(completion: "Completion") -> tuple[str, ...]:
    created = datetime.fromtimestamp(completion.created, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    answer = completion.answer if completion.answer is not None else f"({completion.kind})"
    grades = ", ".join(f"{grade.grader} {grade.score:g}" for grade in completion.grades.values())
    finish = completion.finish_reason or ""
    return (completion.id, created, completion.model, _short(completion.prompt), _short(answer), finish, grades)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
