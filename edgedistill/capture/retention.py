"""How long completions are kept, and how much of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.capture.store import Deleted
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from edgedistill.capture.store import Store

DAY_S = 86_400

OLDEST = """SELECT id FROM (SELECT id, seq, stored, sum(size_bytes) OVER (ORDER BY stored, seq) - size_bytes AS before
 FROM completion) WHERE before < ? ORDER BY stored, seq"""


@dataclass(frozen=True)
class Retention:
    """Limits of a store; None is no limit.

    Args:
        max_age_days: days since a completion was stored, greater than 0.
        max_bytes: of the store's files, greater than 0; the oldest completions go first.

    Raises:
        InputError: a limit is out of its range.
    """

    max_age_days: float | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, limit in (("greatest age", self.max_age_days), ("greatest size", self.max_bytes)):
            if limit is not None and not limit > 0:
                raise InputError(name, found=str(limit), wanted="greater than 0")

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to enforce."""
        return (self.max_age_days, self.max_bytes) != (None, None)


def prune(store: Store, retention: Retention, *, now_s: float | None = None) -> Deleted:
    """Delete what is beyond the limits, so that its text is nowhere in the store's files.

    An empty store has a size too, about 100 kB: below that, `max_bytes` leaves nothing.

    Args:
        store: where to delete.
        retention: the limits.
        now_s: unix time; the clock's without it.
    """
    deleted = Deleted(0, wiped=True)
    if retention.max_age_days is not None:
        now_s = time.time() if now_s is None else now_s
        deleted = store.delete_older(stored_before=int(now_s - retention.max_age_days * DAY_S))
    if retention.max_bytes is not None:
        store.compact()  # the log may be larger than what it holds
    while retention.max_bytes is not None and (size_bytes := store.size_bytes()) > retention.max_bytes:
        # the files are larger than the text in them; what is left of the excess goes in another round
        ((held,),) = store.rows("SELECT total(size_bytes) FROM completion")
        excess = float(held or 0) * (1 - retention.max_bytes / size_bytes)
        names = [str(name) for (name,) in store.rows(OLDEST, [excess])]
        more = store.delete(names)
        deleted = Deleted(deleted.completions + more.completions, more.wiped)
        if not more.completions or not more.wiped:  # empty, or somebody reads: the files stay as long as they are
            break
    return deleted
