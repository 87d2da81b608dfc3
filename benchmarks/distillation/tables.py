"""Prints the results of `regimes.py` and `methods.py` as Markdown tables, with the share of the gap that was recovered.

Usage: python benchmarks/distillation/tables.py benchmarks/results/distillation_*.json

Recovered is (distilled - alone) / (teacher - alone), of the means; it is left out where teacher and student alone are
less than a point apart, or in a group that trains nothing alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

SMALLEST_GAP = 0.01


def main() -> None:
    """Print a table for each file."""
    for name in sys.argv[1:]:
        document = json.loads(Path(name).read_text("utf-8"))
        if "table" in document:
            print("\n".join(lines(Path(name).stem, document)))


def lines(title: str, document: dict) -> list[str]:
    """Return the lines of one file's table."""
    head = f"{title}: {document['recipe']} {' '.join(document['overrides'])}, teacher {document['teacher']:.2%}"
    found = [f"\n**{head}**, {document['n']:,} evaluation samples", "", "| | arm | mean | spread | recovered | seeds |"]
    found.append("|---|---|---|---|---|---|")
    rows = document["table"]
    alone = {row["group"]: row["mean"] for row in rows if row["arm"] == "alone"}
    only = alone.get("alone")
    for row in rows:
        baseline = alone.get(row["group"], only)
        spread = f"{row['lowest']:.2%} to {row['highest']:.2%}".replace("%", " %")
        gap = document["teacher"] - baseline if baseline is not None else 0
        is_comparison = gap >= SMALLEST_GAP and not row["arm"].startswith("alone")
        recovered = f"{(row['mean'] - baseline) / gap:.0%}".replace("%", " %") if is_comparison else ""
        mean = f"{row['mean']:.2%}".replace("%", " %")
        found.append(f"| {row['group']} | {row['arm']} | {mean} | {spread} | {recovered} | {row['trials']} |")
    return found


if __name__ == "__main__":
    main()
