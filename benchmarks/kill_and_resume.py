"""Kills a run at random moments and shows that what it ends with is what an uninterrupted run ends with.

Usage: python benchmarks/kill_and_resume.py [KEY=VALUE ...] [--recipe FILE] [--kills 10] [--seed 0]

One run is left alone; a second one, in another run directory with another cache of teacher outputs, gets SIGKILL
`--kills` times, at moments drawn evenly from the work of all steps, and is started again each time. Every file of
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
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
IMPORTS_S = 4.0  # a resumed step reads data and models again before it goes on


class Kill(NamedTuple):
    """When to kill: this many seconds of work in a step after the kill before it."""

    step: str
    after_s: float


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


def drawn_kills(durations_s: dict[str, float], *, count: int, seed: int) -> list[Kill]:
    """Draw moments evenly from the work of all steps, in order: (step, seconds of work in it since the last kill)."""
    generator = random.Random(seed)
    moments = sorted(generator.uniform(0, sum(durations_s.values())) for _ in range(count))
    kills, begins, before = [], 0.0, 0.0
    for step, lasts in durations_s.items():
        before = max(before, begins)
        for moment in [moment for moment in moments if begins <= moment < begins + lasts]:
            kills.append(Kill(step, moment - before))
            before = moment
        begins += lasts
    return kills


def struck_run(recipe: Path, overrides: list[str], kills: list[Kill], *, folder: Path, cache: Path) -> list[str]:
    """Run with a SIGKILL in each chosen step, then to the end; return the step that each kill really hit."""
    hit = []
    for kill in kills:
        process = started(recipe, overrides, folder=folder, cache=cache)
        work = folder / "work" / slug(kill.step)
        while not work.exists() and process.poll() is None:
            time.sleep(0.005)
        try:
            process.wait(IMPORTS_S + kill.after_s if hit and hit[-1] == kill.step else kill.after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        names = [path.name for path in (folder / "work").glob("*")]
        hit.append(kill.step if slug(kill.step) in names else "after " + kill.step)
        print(f"killed in {hit[-1]}, {kill.after_s:.1f} s of work after the last", flush=True)
    code = started(recipe, overrides, folder=folder, cache=cache).wait()
    print(f"last attempt ended with {code}", flush=True)
    return hit


def slug(step: str) -> str:
    """Return the name of a step's work folder."""
    return "".join(character if character.isalnum() or character in "-._" else "-" for character in step)


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
    stages = json.loads((calm / "summary.json").read_text("utf-8"))["stages"]
    durations_s = {stage["name"]: stage["wall_s"] for stage in stages}
    kills = drawn_kills(durations_s, count=args.kills, seed=args.seed)
    struck = args.runs / "struck"
    hit = struck_run(args.recipe, args.overrides, kills, folder=struck, cache=args.runs / "struck-cache")
    expected, found = artifact_hashes(calm), artifact_hashes(struck)
    results = {
        "recipe": args.recipe.name,
        "overrides": args.overrides,
        "uninterrupted_s": round(duration_s, 1),
        "kills": [{"step": step, "after_s": round(kill.after_s, 1)} for step, kill in zip(hit, kills, strict=True)],
        "artifact_files": len(expected),
        "equal": expected == found,
        "sha256": expected,
    }
    args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(f"{len(hit)} kills, {len(expected)} artifact files, equal: {expected == found}")
    sys.exit(0 if expected == found else 1)


if __name__ == "__main__":
    main()
