"""One process against two, and two of which one is killed: is the student the same?

Usage: python benchmarks/distillation/two_processes.py [shapes ...] [--seed 0]

Needs `python examples/shapes_teacher.py`. `fashion` is Fashion-MNIST with 100 samples of each class.

Distils with one process and with two (torchrun, gloo), each with one thread: one step, a few, and a longer training. As
yardsticks of what rounding alone does, one process does the same again with its loss multiplied by 1 + 2**-23, the next
larger float32, and once with two threads, which add in another order. Then process 1 of two is killed (SIGKILL) in the
middle of the longer training, and the same command is started again: the student must have the bits of those that were
left alone. Last, a killed run of one process goes on with two, and one of two with one. Written: the differences of
outputs and weights, the accuracies, the message, and the seconds until everything had ended. What is in the file or in
the run directories already is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from edgedistill.evaluate.torch_executors import ModuleExecutor
from edgedistill.progress import SILENT
from edgedistill.run.directory import RunDirectory
from edgedistill.run.pipeline import context_of, plan

ROOT = Path(__file__).parents[2]
SAMPLES = 600
OTHERS = ("two", "nudged", "two threads")
STUDENT = "student/student.safetensors"
CHECKPOINT = "work/distill/checkpoint"
NUDGE = """
import runpy
from edgedistill.distill import training
plain = training.loss_of
training.loss_of = lambda *args: plain(*args) * (1 + 2**-23)
runpy.run_module("edgedistill", run_name="__main__", alter_sys=True)
"""
COMMON = ("distill.baseline=false",)
RECIPES = {
    "shapes": ("examples/shapes.yaml", ()),
    "fashion": ("examples/fashion_mnist.yaml", ("data.max_per_class=100", "distill.batch_size=64")),
}
EPOCHS = {"one step": "0.05", "few steps": "0.5", "longer": "8"}


@dataclass(frozen=True)
class Setting:
    """What all runs of one length have in common.

    Args:
        recipe: the YAML file.
        overrides: `dotted.key=value`.
        runs: folder of their run directories.
    """

    recipe: Path
    overrides: tuple[str, ...]
    runs: Path

    def start(self, folder: str, *, processes: int, threads: int = 1, nudged: bool = False) -> subprocess.Popen[str]:
        """Start a distillation."""
        program = ["-c", NUDGE] if nudged else ["-m", "edgedistill"]
        if processes > 1:
            program = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), *program]
        verb = ["distill", str(self.recipe), "--folder", str(self.runs / folder)]
        command = [sys.executable, *program, *verb, *self.overrides, *COMMON, f"threads={threads}"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self, folder: str, *, processes: int, threads: int = 1, nudged: bool = False) -> None:
        """Run to the end."""
        process = self.start(folder, processes=processes, threads=threads, nudged=nudged)
        said, _nothing = process.communicate()
        if process.returncode:
            raise SystemExit(said)

    def killed(self, folder: str, *, processes: int, after_s: float = 0.0) -> dict[str, object]:
        """Kill the last process some seconds after the first checkpoint; return how all ended."""
        process = self.start(folder, processes=processes)
        while process.poll() is None and not (self.runs / folder / CHECKPOINT).exists():
            time.sleep(0.02)
        time.sleep(after_s)
        os.kill(child_of(process.pid, rank=processes - 1) if processes > 1 else process.pid, signal.SIGKILL)
        begun = time.monotonic()
        said, _nothing = process.communicate(timeout=120)
        if (self.runs / folder / STUDENT).exists():
            raise SystemExit(f"{folder}: it was killed after its end; use more epochs")
        return {
            "after_checkpoint_s": after_s,
            "launcher_exit_code": process.returncode,
            "exit_code_of_others": exit_code_of(said, rank=0) if processes > 1 else None,
            "ended_after_s": time.monotonic() - begun,
            "message": next((line for line in said.splitlines() if "error: " in line), ""),
        }

    def student(self, folder: str) -> dict[str, torch.Tensor]:
        """Return the student of a run."""
        return load_file(self.runs / folder / STUDENT)

    def outputs(self, folder: str) -> torch.Tensor:
        """Return the logits of a run's student on samples to evaluate on."""
        planned = plan(self.recipe, overrides=[*self.overrides, *COMMON, "threads=1"], folder=self.runs / folder)
        context = context_of(planned, RunDirectory(planned.folder), SILENT)
        return torch.from_numpy(context.outputs(ModuleExecutor(context.trained_student()), samples=SAMPLES))

    def accuracy(self, folder: str) -> float:
        """Return the student's accuracy, 0 to 1."""
        summary = json.loads((self.runs / folder / "summary.json").read_text("utf-8"))
        return float(next(rung["value"] for rung in summary["ladder"] if rung["stage"] == "student"))


def exit_code_of(said: str, *, rank: int) -> int | None:
    """Return the exit code that torchrun's report gives for a rank; none where it does not."""
    seen = False
    for line in said.splitlines():
        seen = seen or f"rank      : {rank} " in line
        if seen and "exitcode" in line:
            return int(line.split(":")[1].split("(")[0])
    return None


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


def apart(setting: Setting, one: str, other: str) -> dict[str, object]:
    """Return how far two students are apart, each difference relative to the largest value: per tensor, and outputs."""
    first, second = setting.student(one), setting.student(other)
    weights = {name: relative(first[name], second[name]) for name in first}
    largest = max(weights, key=weights.__getitem__)
    outputs = relative(setting.outputs(one), setting.outputs(other))
    return {
        "outputs": outputs,
        "weights_median": statistics.median(weights.values()),
        "weights_largest": weights[largest],
        "where_largest": largest,
        "largest_value_there": float(first[largest].abs().max()),
    }


def relative(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference, relative to the largest value."""
    return float((one.double() - other.double()).abs().max() / one.double().abs().max().clamp(min=1e-30))


def of_one_length(setting: Setting) -> dict[str, object]:
    """Train with one process, with two, with one whose loss is nudged, and with one of two threads."""
    setting.finish("one", processes=1)
    setting.finish("two", processes=2)
    setting.finish("nudged", processes=1, nudged=True)
    setting.finish("two threads", processes=1, threads=2)
    found = {
        "apart_from_one": {name: apart(setting, "one", name) for name in OTHERS},
        "accuracy": {name: setting.accuracy(name) for name in ("one", *OTHERS)},
    }
    print(json.dumps(found), flush=True)
    return found


def of_killed(setting: Setting, *, seed: int) -> dict[str, object]:
    """Kill process 1 of two, and go on; with as many, and with another number."""
    two = setting.student("two")
    for folder in ("struck", "from-1-to-2", "from-2-to-1"):
        shutil.rmtree(setting.runs / folder, ignore_errors=True)
    struck = setting.killed("struck", processes=2, after_s=random.Random(seed).uniform(0, 0.5))
    setting.finish("struck", processes=2)
    student = setting.student("struck")
    struck["resumed_to_the_same_bits"] = all(torch.equal(two[name], student[name]) for name in two)
    print(json.dumps(struck), flush=True)
    found: dict[str, object] = {"killed": struck}
    for before, after in ((1, 2), (2, 1)):
        folder = f"from-{before}-to-{after}"
        setting.killed(folder, processes=before)
        setting.finish(folder, processes=after)
        found[folder] = {"apart_from_one": apart(setting, "one", folder), "accuracy": setting.accuracy(folder)}
        print(folder, json.dumps(found[folder]), flush=True)
    return found


def main() -> None:
    """Compare, write the results; exit code 1 when a resumed student has other bits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(RECIPES), metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/two-processes"))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/two_processes.json")
    args = parser.parse_args()
    results = json.loads(args.out.read_text("utf-8")) if args.out.exists() else {}
    same = True
    for name in args.names:
        recipe, overrides = RECIPES[name]
        found = results.setdefault(name, {"recipe": recipe, "overrides": [*overrides, *COMMON]})
        for length, epochs in EPOCHS.items():
            runs = args.runs / f"{name}-{length.replace(' ', '-')}"
            setting = Setting(ROOT / recipe, (*overrides, f"distill.epochs={epochs}"), runs)
            if length not in found:
                found[length] = {"epochs": float(epochs), **of_one_length(setting)}
                args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        if "killed" not in found:
            found |= of_killed(setting, seed=args.seed)
            args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        same = same and found["killed"]["resumed_to_the_same_bits"]
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
