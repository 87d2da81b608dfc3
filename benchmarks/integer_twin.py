"""The integer twin beside ONNX Runtime: every code of every quantized tensor, here and on an emulated ARM board.

Usage: python benchmarks/integer_twin.py [MODEL ...] [--run DIR] [--images N] [--board-images N] [--agreement N]

Models: student (the demonstration's, from a finished run), mobilenet_v2, resnet18, efficientnet_lite0 and minilm from
the zoo. CNNs see Fashion-MNIST test images, scaled up for the larger ones; the encoder sees sentences of Python's own
documentation. Random networks have random weights: what is compared is arithmetic, not accuracy.

On each machine the program computes from the inputs on its own (`chained`), and once more each operator by itself from
the runtime's codes (`alone`), so that a difference is charged to the operator that makes it. Then top-1 classes are
compared over more inputs, half of them shifted and noisy. Results are written after every model.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import torch
from twin_subjects import SUBJECTS, Subject, stressed

from edgedistill.devices.emulated import EmulatedArm
from edgedistill.evaluate.bisect import matches
from edgedistill.evaluate.executor import Execution
from edgedistill.evaluate.onnx_runtime import OnnxRuntimeExecutor
from edgedistill.export.onnx_writer import onnx_from_program
from edgedistill.targets.arm_onnxruntime.board import BoardExecutor
from edgedistill.targets.base import Artifact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedistill.evaluate.bisect import TensorMatch
    from edgedistill.quantize.program import QuantizedProgram

    Runtime = OnnxRuntimeExecutor | BoardExecutor
    Codes = dict[str, object]

ROOT = Path(__file__).parents[1]
OPTIONS = {"session.x64quantprecision": "1"} if platform.machine() == "x86_64" else {}
AT_ONCE = 25
CPU_MODEL = "cortex-a76"


def compared(program: QuantizedProgram, runtime: Runtime, inputs: NDArray[np.generic]) -> Codes:
    """Return the codes compared and differing, chained and alone, and how many output values differ."""
    totals: dict[str, dict[str, Codes]] = {"chained": {}, "alone": {}}
    outputs = differing_outputs = 0
    same_kernels, tensors = True, set()
    for start in range(0, len(inputs), AT_ONCE):
        part = inputs[start : start + AT_ONCE]
        found = runtime.inspect(part)
        same_kernels &= found.same_kernels
        computed = program.run(part)
        outputs += computed.size
        differing_outputs += int((computed.view(np.uint32) != found.outputs.view(np.uint32)).sum())
        for how, operators in totals.items():
            seen = list(matches(program, found, part, each_by_itself=how == "alone"))
            tensors.update(match.tensor for match in seen)
            add(operators, seen)
        if sys.stderr.isatty():
            print(f"  {runtime.name}: {start + len(part)} of {len(inputs)}", end="\r", file=sys.stderr)
    return {
        "samples": len(inputs),
        "tensors": len(tensors),
        "same_kernels": same_kernels,
        "outputs": outputs,
        "differing_outputs": differing_outputs,
        **{how: summed(operators) for how, operators in totals.items()},
    }


def add(operators: dict[str, Codes], seen: Sequence[TensorMatch]) -> None:
    """Count the codes of some tensors by operator and kernel."""
    for match in seen:
        key = f"{match.operator} / {match.kernel}"
        entry = operators.setdefault(key, {"codes": 0, "differing": 0, "largest": 0})
        entry["codes"] += match.values  # type: ignore[operator] # counts
        entry["differing"] += match.differing  # type: ignore[operator] # as above
        entry["largest"] = max(entry["largest"], match.largest)  # type: ignore[call-overload] # as above


def summed(operators: dict[str, Codes]) -> Codes:
    """Return the totals, and the operators of which any code differs."""
    codes = sum(entry["codes"] for entry in operators.values())  # type: ignore[misc] # counts
    differing = sum(entry["differing"] for entry in operators.values())  # type: ignore[misc] # as above
    return {"codes": codes, "differing": differing, "operators": operators}


def agreement(program: QuantizedProgram, runtime: Runtime, inputs: NDArray[np.float32]) -> Codes:
    """Return how many top-1 classes and output values differ between a program and a runtime."""
    computed, found = program.run(inputs), runtime.run(inputs)
    return {
        "samples": len(inputs),
        "differing_top1": int((computed.argmax(1) != found.argmax(1)).sum()),
        "differing_outputs": int((computed.view(np.uint32) != found.view(np.uint32)).sum()),
        "outputs": computed.size,
    }


def measured(subject: Subject, args: argparse.Namespace) -> Codes:
    """Return everything that is compared of one model."""
    program = subject.program(args.run)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx_from_program(program, path)
        host = OnnxRuntimeExecutor(path, options=OPTIONS)
        board = BoardExecutor(
            Artifact(Path(folder), "arm-onnxruntime", "any", path.name, ()),
            Execution.EMULATED,
            lambda: EmulatedArm(CPU_MODEL),
        )
        results: Codes = {"title": subject.title, "codes": {}, "agreement": {}}
        started = time.process_time()
        for runtime, count in ((host, args.images), (board, args.board_images)):
            if count:
                found = compared(program, runtime, subject.inputs(count))
                results["codes"][runtime.name] = {"machine": runtime.label, **found}  # type: ignore[index] # a dict
                show(subject, runtime, found)
        if subject.classes and args.agreement:
            plain = subject.inputs(args.agreement // 2)
            for name, inputs in (("plain", plain), ("stressed", stressed(plain))):
                results["agreement"][name] = agreement(program, host, inputs)  # type: ignore[index] # a dict
                print(f"  top-1 against {host.name}, {name}: {results['agreement'][name]}")  # type: ignore[index] # a dict
        results["cpu_s"] = time.process_time() - started
    return results


def show(subject: Subject, runtime: Runtime, found: Codes) -> None:
    """Print one line for a machine, and one for each operator of which a code differs."""
    chained, alone = found["chained"], found["alone"]
    print(
        f"{subject.title} on {runtime.name}: {found['samples']} samples, {found['tensors']} tensors, "
        f"{chained['codes']:,} codes; differing: {chained['differing']:,} chained, {alone['differing']:,} alone; "  # type: ignore[index] # dicts
        f"outputs {found['differing_outputs']:,} of {found['outputs']:,}; same kernels: {found['same_kernels']}"
    )
    for name, entry in alone["operators"].items():  # type: ignore[index] # a dict
        if entry["differing"]:
            print(f"    {name}: {entry['differing']:,} of {entry['codes']:,}, by at most {entry['largest']}")


def main() -> None:
    """Compare every model asked for and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of: {', '.join(SUBJECTS)}; all without it")
    parser.add_argument("--run", type=Path, default=ROOT / "runs/fashion-mnist")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--board-images", type=int, default=1000)
    parser.add_argument("--agreement", type=int, default=20000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/integer_twin.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.models or SUBJECTS:
        results = json.loads(args.out.read_text("utf-8")) if args.out.is_file() else {"models": {}}
        results["machine"] = {"host": platform.machine(), "emulated": CPU_MODEL}
        results["versions"] = {"onnxruntime": onnxruntime.__version__, "torch": torch.__version__}
        results["models"][name] = measured(SUBJECTS[name], args)
        args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
