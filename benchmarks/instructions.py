"""Instructions per inference of a run's fp32 student and INT8 artifact on emulated CPUs: a count, and no time.

Counted three times on each of Cortex-A53, A72 and A76, each time in a fresh emulator; wanted: within 0.5 %.

    python benchmarks/instructions.py RUN_FOLDER... [--times 3]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from edgedistill.devices.instructions import count_instructions

RESULT = Path(__file__).parent / "results" / "instructions.json"
CPU_MODELS = ("cortex-a53", "cortex-a72", "cortex-a76")


def counted(run: Path, *, times: int) -> dict[str, object]:
    """Return the counts of one run's models."""
    artifact = min((run / "artifacts").iterdir())
    models = {"student-fp32": run / "fp32" / "student.onnx", "int8": artifact / "model.onnx"}
    with np.load(artifact / "golden.npz", allow_pickle=False) as golden:
        inputs = golden["inputs"][:8]
    rows = []
    for cpu_model in CPU_MODELS:
        found = [count_instructions(list(models.values()), inputs, cpu_model=cpu_model) for _ in range(times)]
        for index, name in enumerate(models):
            counts = [item[index].instructions for item in found]
            rows.append(
                {
                    "model": name,
                    "cpu_model": cpu_model,
                    "instructions": float(np.median(counts)),
                    "counts": counts,
                    "spread": (max(counts) - min(counts)) / float(np.median(counts)),
                }
            )
            print(f"{run.name}  {name:13} {cpu_model:11} {np.median(counts):>12,.0f}  spread {rows[-1]['spread']:.4%}")
    return {"run": json.loads((artifact / "manifest.json").read_text("utf-8"))["name"], "counts": rows}


def main() -> None:
    """Count, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    result = {
        "what": "instructions of one ONNX Runtime call, batch 1, one thread, on an emulated CPU (QEMU): no time",
        "execution": "emulated",
        "times": options.times,
        "runs": [counted(run, times=options.times) for run in options.runs],
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
