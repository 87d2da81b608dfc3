"""One process against two, and two of which one is killed: is the student the same?

Usage: python benchmarks/distillation/two_processes.py RECIPE [KEY=VALUE ...] [--kills 3] [--seed 0]

Distils the recipe with one process and with two (torchrun, gloo), each with one thread. Then process 1 of two is
killed (SIGKILL) at random moments of the training, and the same command is started again: the student must have the
bits of the two that were left alone. Last, a run of one process that was killed goes on with two, and one of two with
one. Written: the largest difference of any weight, relative to the largest weight of its tensor, the accuracies, the
message, the seconds until everything had ended.
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
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
STUDENT = "student/student.safetensors"


@dataclass(frozen=True)
class Setting:
    """What all runs of one recipe have in common."""

    recipe: Path
    overrides: tuple[str, ...]
    runs: Path
    cache: Path

    def start(self, folder: str, *, processes: int) -> subprocess.Popen[str]:
        """Start a distillation."""
        launcher = [sys.executable]
        if processes > 1:
            launcher += ["-m", "torch.distributed.run", "--nproc_per_node", str(processes)]
        command = [*launcher, "-m", "edgedistill", "distill", str(self.recipe), "--folder", str(self.runs / folder)]
        chosen = [*self.overrides, "threads=1", f"cache.folder={self.cache.absolute()}"]
        return subprocess.Popen([*command, *chosen], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self, folder: str, *, processes: int) -> float:
        """Run to the end; return the seconds."""
        begun = time.monotonic()
        process = self.start(folder, processes=processes)
        said, _nothing = process.communicate()
        if process.returncode:
            raise SystemExit(said)
        return time.monotonic() - begun

    def killed(self, folder: str, *, processes: int, after_s: float) -> tuple[int, float, str]:
        """Kill the last process some seconds after the first checkpoint; return exit code, seconds to the end, message."""
        process = self.start(folder, processes=processes)
        while process.poll() is None and not (self.runs / folder / "work/distill/checkpoint").exists():
            time.sleep(0.05)
        time.sleep(after_s)
        os.kill(child_of(process.pid, rank=processes - 1) if processes > 1 else process.pid, signal.SIGKILL)
        begun = time.monotonic()
        said, _nothing = process.communicate(timeout=120)
        message = next((line for line in said.splitlines() if "error: " in line), "")
        return process.returncode, time.monotonic() - begun, message

    def student(self, folder: str) -> dict[str, torch.Tensor]:
        """Return the student of a run."""
        return load_file(self.runs / folder / STUDENT)

    def accuracy(self, folder: str) -> float:
        """Return the student's accuracy, 0 to 1."""
        summary = json.loads((self.runs / folder / "summary.json").read_text("utf-8"))
        return float(next(rung["value"] for rung in summary["ladder"] if rung["stage"] == "student"))


def child_of(parent: int, *, rank: int) -> int:
    """Return the process that torchrun started as a rank."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            ancestor = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (folder / "environ").read_text().split("\0")
        except OSError:  # it has ended meanwhile
            continue
        if ancestor == parent and f"RANK={rank}" in variables:
            return int(folder.name)
    raise SystemExit("the process to kill has ended already: use more epochs")


def difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Return the largest difference of two students, relative to the largest value of its tensor."""
    return max(
        float((one[name].double() - other[name].double()).abs().max() / one[name].double().abs().max().clamp(min=1e-30))
        for name in one
    )


def compare(setting: Setting, *, kills: int, seed: int) -> dict[str, object]:
    """Do all runs of one recipe."""
    seconds = {name: setting.finish(name, processes=count) for name, count in (("one", 1), ("two", 2))}
    one, two = setting.student("one"), setting.student("two")
    print(f"one against two: {difference(one, two):.2e}", flush=True)
    generator = random.Random(seed)
    struck = []
    for number in range(kills):
        after_s = generator.uniform(0, seconds["two"] / 3)
        code, ended_s, message = setting.killed(f"struck-{number}", processes=2, after_s=after_s)
        setting.finish(f"struck-{number}", processes=2)
        equal = all(torch.equal(two[name], value) for name, value in setting.student(f"struck-{number}").items())
        print(
            f"killed after {after_s:.1f} s: exit {code} in {ended_s:.1f} s, resumed to the same bits: {equal}",
            flush=True,
        )
        struck.append(
            {"after_s": after_s, "exit_code": code, "ended_after_s": ended_s, "message": message, "same_bits": equal}
        )
    changed = {}
    for before, after in ((1, 2), (2, 1)):
        folder = f"from-{before}-to-{after}"
        setting.killed(folder, processes=before, after_s=0.0)
        setting.finish(folder, processes=after)
        changed[folder] = {"difference": difference(one, setting.student(folder)), "accuracy": setting.accuracy(folder)}
    return {
        "recipe": setting.recipe.name,
        "overrides": list(setting.overrides),
        "accuracy": {name: setting.accuracy(name) for name in ("one", "two")},
        "difference": difference(one, two),
        "seconds": seconds,
        "killed": struck,
        "other_number": changed,
    }


def main() -> None:
    """Compare, write the results; exit code 1 when a resumed student has other bits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/two-processes"))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/two_processes.json")
    args = parser.parse_args()
    setting = Setting(args.recipe, tuple(args.overrides), args.runs / args.recipe.stem, args.runs / "cache")
    results = json.loads(args.out.read_text("utf-8")) if args.out.exists() else {}
    results[args.recipe.stem] = found = compare(setting, kills=args.kills, seed=args.seed)
    args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(json.dumps({name: found[name] for name in ("accuracy", "difference", "seconds", "other_number")}, indent=1))
    sys.exit(0 if all(kill["same_bits"] for kill in found["killed"]) else 1)  # type: ignore[union-attr,index] # our own list


if __name__ == "__main__":
    main()
