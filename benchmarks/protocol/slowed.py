"""A measuring process of which one model takes a known share longer: it is busy after each inference.

`python benchmarks/protocol/slowed.py JOB.json SHARE`: started by `pairs.py`. The rest is the worker's own code.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.bench import worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def slowed(infer: Callable[[int], object], share: float) -> Callable[[int], object]:
    """Return the inference, followed by that share of its own time."""

    def longer(index: int) -> object:
        start = time.monotonic_ns()
        result = infer(index)
        until = time.monotonic_ns()
        until += int((until - start) * share)
        while time.monotonic_ns() < until:
            pass
        return result

    return longer


def main() -> None:
    """Measure the job with its second model slowed, and print one JSON document."""
    job = worker.Job.model_validate_json(Path(sys.argv[1]).read_text("utf-8"))
    share, alternated = float(sys.argv[2]), worker.alternated

    def second_slowed(
        infer: Sequence[Callable[[int], object]], *, seconds: float, starts_with: int
    ) -> list[dict[str, object]]:
        # both are wrapped, so that the wrapper's own time is in both
        return alternated([slowed(infer[0], 0.0), slowed(infer[1], share)], seconds=seconds, starts_with=starts_with)

    worker.alternated = second_slowed
    json.dump(worker.measure_in_turns(job), sys.stdout)


if __name__ == "__main__":
    main()
