"""`edgedistill capture stats`."""

from dataclasses import asdict

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.capture.options import STORE, StoreOption
from edgedistill.cli.output import document, facts


def stats(*, store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Count what a store holds: by kind, model, finish reason, source, metadata key and grader."""
    from edgedistill.capture.statistics import statistics_of
    from edgedistill.capture.store import open_store

    with open_store(store) as opened:
        found = asdict(statistics_of(opened))
    if as_json:
        document(found)
    else:
        facts(found)
