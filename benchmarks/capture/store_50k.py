"""50,000 stored completions: how fast they go in, how long a filter on two keys takes, and how much memory it needs.

Usage: python benchmarks/capture/store_50k.py [--completions 50000] [--repeats 20] [--out FILE]

Each is written as the server writes: in batches of up to 128, every batch a commit that is on the disk (fsync) before
it is reported. A prompt has 300 characters, an answer 80, and each completion three pairs of metadata.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from machine import machine

from edgedistill.capture.completion import chat_completion
from edgedistill.capture.filters import Filter
from edgedistill.capture.store import Entry, Order, Store
from edgedistill.capture.writer import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
TWO_KEYS = Filter(metadata={"task": "t3", "split": "test"})


def entry(number: int) -> Entry:
    """Return one completion."""
    words = f"{number} " + "lorem ipsum dolor sit amet " * 11
    request = {"model": f"m{number % 3}", "messages": [{"role": "user", "content": words[:300]}], "temperature": 0}
    message = {"role": "assistant", "content": ("y" * 76 + f"{number}")[-80:]}
    response = {
        "id": f"chatcmpl-{number:024x}",
        "object": "chat.completion",
        "created": 1_760_000_000 + number,
        "model": f"m{number % 3}-2026",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}],
        "usage": {"prompt_tokens": 70, "completion_tokens": 20, "total_tokens": 90},
    }
    pairs = {"task": f"t{number % 7}", "split": "train" if number % 10 else "test", "user": f"u{number % 1000}"}
    return Entry(chat_completion(request, response, metadata=pairs, latency_ms=12.5, source="http://127.0.0.1/v1"))


def peak_mb() -> float:
    """Return the most memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def insert(store: Store, count: int, *, batch: int, start: int = 0) -> float:
    """Store completions; return the seconds it took, without making them."""
    taken_s = 0.0
    for first in range(start, start + count, batch):
        entries = [entry(number) for number in range(first, min(first + batch, start + count))]
        begun = time.perf_counter()
        store.add_many(entries)
        taken_s += time.perf_counter() - begun
    return taken_s


def timed(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Return the median and the extremes of how long something takes, ms."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - begun))
    return {"n": repeats, "median": statistics.median(times), "min": min(times), "max": max(times)}


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completions", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--singles", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/capture_store_50k.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, Store(Path(folder) / "store") as store:
        before_mb = peak_mb()
        batches_s = insert(store, args.completions, batch=BATCH)
        inserted_mb = peak_mb()
        matching = store.count(TWO_KEYS)
        filters = {
            "count_ms": timed(lambda: store.count(TWO_KEYS), args.repeats),
            "first_page_of_20_ms": timed(lambda: store.page(TWO_KEYS, limit=20), args.repeats),
            "newest_page_of_20_ms": timed(
                lambda: store.page(TWO_KEYS, order=Order.NEWEST_FIRST, limit=20), args.repeats
            ),
            "all_matching_ms": timed(lambda: sum(1 for _ in store.iterate(TWO_KEYS)), max(args.repeats // 4, 1)),
        }
        whole = timed(lambda: sum(1 for _ in store.iterate()), 3)
        iterated_mb = peak_mb()
        singles_s = insert(store, args.singles, batch=1, start=args.completions)
        size_mb = store.size_bytes() / 1e6
        begun = time.perf_counter()
        deleted = store.delete_matching(TWO_KEYS)
        delete_s = time.perf_counter() - begun
    results = {
        "machine": machine(),
        "completions": args.completions,
        "insert_batches_of_128": {"seconds": batches_s, "per_second": args.completions / batches_s},
        "insert_one_by_one": {"n": args.singles, "per_second": args.singles / singles_s},
        "two_key_filter": {"matching": matching, **filters},
        "read_all_ms": whole,
        "delete_matching": {"completions": deleted.completions, "seconds": delete_s, "wiped": deleted.wiped},
        "size_mb": size_mb,
        "peak_memory_mb": {"imports": before_mb, "after_inserting": inserted_mb, "after_reading_all": iterated_mb},
    }
    args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
