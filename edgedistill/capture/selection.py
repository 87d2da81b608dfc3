"""Completions of a store, filtered, each said once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.capture.duplicates import Duplicates, without_duplicates
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedistill.capture.completion import Completion
    from edgedistill.capture.filters import Filter
    from edgedistill.capture.store import Store


def selected(store: Store, chosen: Filter, *, unique: str | None = None) -> Iterator[Completion]:
    """Return the completions that meet a filter, the oldest first.

    Args:
        store: where they are.
        chosen: conditions that they meet.
        unique: "exact", "prompt" or "near": of duplicates in this sense only the first; None: all.

    Raises:
        InputError: there is no such kind of duplicates.
    """
    if unique is None:
        return store.iterate(chosen)
    if unique not in list(Duplicates):
        raise InputError(f"duplicates '{unique}'", found="no such kind", wanted=", ".join(Duplicates))
    return without_duplicates(store.iterate(chosen), Duplicates(unique))
