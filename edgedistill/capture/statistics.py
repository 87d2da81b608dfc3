"""What a store holds, counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedistill.capture.store import Store


@dataclass(frozen=True)
class Statistics:
    """Counts over a whole store.

    Args:
        completions: all of them.
        distinct_prompts: prompts that differ in more than case and space.
        exact_duplicates: completions that another one equals in prompt and answer.
        size_bytes: of the store's files.
        first_created: unix s; None in an empty store.
        last_created: unix s; None in an empty store.
        prompt_tokens: sum over the completions whose usage is known.
        completion_tokens: the same.
        kinds: completions by kind.
        models: by the model that answered.
        finish_reasons: by finish reason, where there is one.
        sources: by source.
        redactions: by version of the redaction.
        metadata_keys: by key of their metadata.
        graders: by grader.
    """

    completions: int
    distinct_prompts: int
    exact_duplicates: int
    size_bytes: int
    first_created: int | None
    last_created: int | None
    prompt_tokens: int
    completion_tokens: int
    kinds: Mapping[str, int]
    models: Mapping[str, int]
    finish_reasons: Mapping[str, int]
    sources: Mapping[str, int]
    redactions: Mapping[str, int]
    metadata_keys: Mapping[str, int]
    graders: Mapping[str, int]


TOTALS = """SELECT count(*), count(DISTINCT prompt_hash), count(*) - count(DISTINCT duplicate_hash), min(created),
 max(created), total(json_extract(response, '$.usage.prompt_tokens')),
 total(json_extract(response, '$.usage.completion_tokens')) FROM completion"""


def statistics_of(store: Store) -> Statistics:
    """Count what a store holds."""
    ((completions, prompts, duplicates, first, last, asked, answered),) = store.rows(TOTALS)
    return Statistics(
        completions=int(completions or 0),
        distinct_prompts=int(prompts or 0),
        exact_duplicates=int(duplicates or 0),
        size_bytes=store.size_bytes(),
        first_created=None if first is None else int(first),
        last_created=None if last is None else int(last),
        prompt_tokens=int(asked or 0),
        completion_tokens=int(answered or 0),
        kinds=_counts(store, "SELECT kind, count(*) FROM completion GROUP BY 1"),
        models=_counts(store, "SELECT model, count(*) FROM completion GROUP BY 1"),
        finish_reasons=_counts(
            store, "SELECT finish_reason, count(*) FROM completion WHERE finish_reason IS NOT NULL GROUP BY 1"
        ),
        sources=_counts(store, "SELECT source, count(*) FROM completion GROUP BY 1"),
        redactions=_counts(store, "SELECT redaction, count(*) FROM completion GROUP BY 1"),
        metadata_keys=_counts(store, "SELECT key, count(*) FROM metadata GROUP BY 1"),
        graders=_counts(store, "SELECT grader, count(*) FROM grade GROUP BY 1"),
    )


def _counts(store: Store, query: str) -> dict[str, int]:
    found = {str(name): int(count or 0) for name, count in store.rows(query)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
