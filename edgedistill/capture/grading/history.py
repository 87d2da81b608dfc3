"""The history: one folder per run, found again by its id, by what it graded, or as the last one."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from edgedistill.capture.grading.record import (
    FILE,
    OUTCOMES,
    SAMPLES,
    Run,
    is_errored,
    outcomes_from_entry,
    run_from_folder,
    verdict_of,
)
from edgedistill.capture.grading.samples import samples_from_rows
from edgedistill.capture.journal import rows_of
from edgedistill.capture.json_text import text_at
from edgedistill.errors import DataError, nearest

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.capture.grading.evaluation import Evaluation
    from edgedistill.capture.grading.outcome import Outcome
    from edgedistill.capture.grading.run import Settings
    from edgedistill.capture.grading.samples import Sample

LAST = "last"
"""What stands for the newest run on the command line."""


class Place(NamedTuple):
    """A run and its folder."""

    folder: Path
    run: Run


class Comparison(NamedTuple):
    """One run against an earlier one, on the samples that both judged.

    Args:
        common: samples with a verdict in both.
        better: those that pass now and did not.
        worse: those that passed and do not now.
    """

    common: int
    better: tuple[str, ...]
    worse: tuple[str, ...]

    @property
    def p_value(self) -> float:
        """Chance of a difference as large as this if both runs were equally good.

        Exact two-sided McNemar test. Source: McNemar 1947, Psychometrika 12, pages 153-157.
        """
        changed = len(self.better) + len(self.worse)
        fewer = min(len(self.better), len(self.worse))
        tail = sum(math.comb(changed, count) for count in range(fewer + 1))
        return min(1.0, float(Fraction(2 * tail, 2**changed)))


def runs_in(history: Path) -> list[Place]:
    """Return all runs in a history, the oldest first; folders without a `run.json` are no runs."""
    if not history.is_dir():
        return []
    folders = sorted(path.parent for path in history.glob(f"*/{FILE}"))
    places = [Place(folder, run_from_folder(folder)) for folder in folders]
    return sorted(places, key=lambda place: (place.run.created, place.run.id))


def run_named(history: Path, name: str) -> Place:
    """Return the run with an id, the only one whose id begins so, or the newest for "last".

    Raises:
        DataError: there is none, or more than one.
    """
    places = runs_in(history)
    if name == LAST and places:
        return places[-1]
    found = [place for place in places if place.run.id == name] or [
        place for place in places if place.run.id.startswith(name)
    ]
    if len(found) == 1:
        return found[0]
    ids = [place.run.id for place in places]
    if len(found) > 1:
        raise DataError(f"run '{name}'", found=f"{len(found)} runs begin so", wanted="more of the id")
    raise DataError(f"run '{name}'", found=f"not in '{history}'; {nearest(name, ids)}")


def outcomes_of(folder: Path) -> dict[str, list[Outcome]]:
    """Return the outcomes of a run by sample; of a sample that was graded again, the last."""
    entries = rows_of(folder / OUTCOMES) if (folder / OUTCOMES).exists() else []
    return {name: outcomes_from_entry(entry) for entry in entries if (name := text_at(entry, "id")) is not None}


def samples_of(folder: Path) -> list[Sample]:
    """Return what a run graded; nothing where it kept no copy."""
    path = folder / SAMPLES
    return samples_from_rows(rows_of(path), thing=f"file '{path}'") if path.exists() else []


def comparison_of(later: Place, earlier: Place) -> Comparison:
    """Return what changed between two runs."""
    after, before = (verdicts_of(place.folder) for place in (later, earlier))
    common = {name: (before[name], verdict) for name, verdict in after.items() if name in before}
    return Comparison(
        common=len(common),
        better=tuple(name for name, verdicts in common.items() if verdicts == (False, True)),
        worse=tuple(name for name, verdicts in common.items() if verdicts == (True, False)),
    )


def verdicts_of(folder: Path) -> dict[str, bool]:
    """Return whether each sample of a run passes; those without a verdict are left out."""
    verdicts = {
        name: verdict_of(outcomes) for name, outcomes in outcomes_of(folder).items() if not is_errored(outcomes)
    }
    return {name: verdict for name, verdict in verdicts.items() if verdict is not None}


def place_of_run(
    history: Path, evaluation: Evaluation, *, data_sha256: str, samples: int, source: str, settings: Settings
) -> Place:
    """Return the newest run of the same that did not end, or a new one with a folder of its own."""
    address = settings.endpoint.address if settings.endpoint else ""
    judge = settings.endpoint.model if settings.endpoint else ""
    same = (evaluation.sha256, data_sha256, address, judge)
    for place in reversed(runs_in(history)):
        run = place.run
        if run.state == "incomplete" and (run.definition_sha256, run.data_sha256, run.endpoint, run.judge) == same:
            return place
    folder, created = _new_folder(history, evaluation.name)
    run = Run(
        id=folder.name,
        name=evaluation.name,
        state="incomplete",
        created=created,
        source=source,
        samples=samples,
        data_sha256=data_sha256,
        definition_sha256=evaluation.sha256,
        definition=evaluation.document,
        endpoint=address,
        judge=judge,
    )
    return Place(folder, run)


def _new_folder(history: Path, name: str) -> tuple[Path, str]:
    now = datetime.now(UTC)
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    base = "-".join(part for part in (now.strftime("%Y%m%d-%H%M%S"), slug) if part)
    for number in range(1, 1000):
        folder = history / (base if number == 1 else f"{base}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder, now.isoformat(timespec="seconds")
    raise DataError(f"history '{history}'", found=f"a thousand runs called '{base}'")
