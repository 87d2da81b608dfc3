"""`edgedistill capture show`."""

from typing import Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.capture.options import STORE, StoreOption
from edgedistill.cli.output import document, facts, say


def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="As `list` names it.", show_default=False)],
    *,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Show one completion: what was asked, what was answered, and all that is known of it."""
    from edgedistill.capture.completion import text_of_content
    from edgedistill.capture.formats.records import record_of
    from edgedistill.capture.store import open_store
    from edgedistill.errors import DataError

    with open_store(store) as opened:
        completion = opened.get(name)
    if completion is None:
        raise DataError(f"completion '{name}'", found=f"not in store '{store}'", fix="`list` names those that are")
    record = record_of(completion)
    if as_json:
        document(record)
        return
    for message in completion.messages:
        say(f"{message.get('role')}: {text_of_content(message.get('content'))}")
    if completion.answer is not None:
        say(f"assistant: {completion.answer}")
    say("")
    facts({key: value for key, value in record.items() if key not in ("request", "response")})
