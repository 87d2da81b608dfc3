"""Kills a run at random moments and shows that what it ends with is what an uninterrupted run ends with.

Usage: python benchmarks/kill_and_resume.py [KEY=VALUE ...] [--recipe FILE] [--kills 10] [--seed 0]

One run is left alone; a second one, in another run directory with another cache of teacher outputs, gets SIGKILL
`--kills` times, at random moments, and is started again each time. Every file of
every artifact must have the same sha256 in both.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
STARTUP_S = 3.0  # an attempt reads data and models again before it goes on


def started(recipe: Path, overrides: list[str], *, folder: Path, cache: Path) -> subprocess.Popen[bytes]:
    """Start a run in a process group of its own, with its own cache of teacher outputs."""
    chosen = [*overrides, f"cache.folder={cache.absolute()}"]
    command = [sys.executable, "-m", "edgedistill", "run", str(recipe), "--folder", str(folder), *chosen]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def artifact_hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of every artifact file of a finished run."""
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    return {
        f"{artifact['folder']}/{file['path']}": file["sha256"]
        for artifact in summary["artifacts"]
        for file in artifact["files"]
    }


def struck_run(
    recipe: Path, overrides: list[str], moments_s: list[float], *, folder: Path, cache: Path
) -> list[dict[str, object]]:
    """Run with a SIGKILL after each number of seconds, then to the end; return when and where each kill hit.

    An attempt that ends before its kill ends the series: there is nothing left to kill.
    """
    kills: list[dict[str, object]] = []
    for after_s in moments_s:
        process = started(recipe, overrides, folder=folder, cache=cache)
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            unfinished = sorted(path.name for path in (folder / "work").glob("*"))
            kills.append({"after_s": round(after_s, 1), "unfinished": unfinished})
            print(f"killed after {after_s:.1f} s; unfinished: {', '.join(unfinished) or 'none'}", flush=True)
        else:
            break
    code = started(recipe, overrides, folder=folder, cache=cache).wait()
    print(f"last attempt ended with {code}", flush=True)
    return kills


def main() -> None:
    """Compare the two runs, write the results; exit code 1 when a hash differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "examples/fashion_mnist.yaml")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/kill-and-resume"))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/kill_and_resume.json")
    args = parser.parse_args()
    begun = time.monotonic()
    calm = args.runs / "calm"
    code = started(args.recipe, args.overrides, folder=calm, cache=args.runs / "calm-cache").wait()
    duration_s = time.monotonic() - begun
    print(f"uninterrupted: {duration_s:.0f} s, ended with {code}", flush=True)
    generator = random.Random(args.seed)
    longest_s = STARTUP_S + 2 * duration_s / args.kills
    moments_s = [generator.uniform(STARTUP_S, longest_s) for _ in range(args.kills)]
    struck = args.runs / "struck"
    kills = struck_run(args.recipe, args.overrides, moments_s, folder=struck, cache=args.runs / "struck-cache")
    expected, found = artifact_hashes(calm), artifact_hashes(struck)
    results = {
        "recipe": args.recipe.name,
        "overrides": args.overrides,
        "uninterrupted_s": round(duration_s, 1),
        "kills": kills,
        "artifact_files": len(expected),
        "equal": expected == found,
        "sha256": expected,
    }
    args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(f"{len(kills)} kills, {len(expected)} artifact files, equal: {expected == found}")
    sys.exit(0 if expected == found else 1)


if __name__ == "__main__":
    main()
