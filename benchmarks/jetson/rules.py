"""Compares the rules of `jetson-tensorrt` with NVIDIA's own parser and builder, graph by graph.

    python benchmarks/jetson/rules.py [--nncf PYTHON] [--modelopt PYTHON]

Graphs that each break one rule, graphs that break none, and models as quantizers write them: ONNX Runtime's
quantize_static in three settings, NNCF, NVIDIA's Model Optimizer. The two peers need environments of their own. The
builder is TensorRT-RTX 1.7 for SM 8.6; neither a GPU nor a Jetson has a part in it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnxruntime import quantization
from onnxruntime.quantization.calibrate import CalibrationDataReader

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from small_models import lively  # noqa: E402
from tensorrt_cases import BROKEN, CLEAN  # noqa: E402

from edgedistill.export.onnx_writer import onnx_from_module  # noqa: E402
from edgedistill.models.residual import ResidualNet  # noqa: E402
from edgedistill.targets.base import Severity  # noqa: E402
from edgedistill.targets.jetson_tensorrt.finding import Effect, Setting  # noqa: E402
from edgedistill.targets.jetson_tensorrt.rules import RULES, broken_rules  # noqa: E402
from edgedistill.targets.jetson_tensorrt.structure import structure_of  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import ModelProto

RESULT = ROOT / "benchmarks" / "results" / "jetson_rules.json"
PEERS = Path(__file__).parent / "peers"
SHAPE = (3, 32, 32)
EXPLAINED = {
    "TRT002": "the builder takes uint8 as int8 and computes other numbers: codes above 127 saturate",
    "TRT003": "the builder takes a missing zero point as int8, ONNX as uint8: it computes other numbers",
    "TRT013": "no valid ONNX; TensorRT-RTX 1.7 is lenient, ONNX Runtime and ONNX's checker refuse it",
    "TRT014": "no valid ONNX; TensorRT-RTX 1.7 is lenient, ONNX Runtime and ONNX's checker refuse it",
}
EFFECTS = {rule.name: rule.effect for rule in RULES}


def main() -> None:
    """Compare, print the table and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nncf", help="Python of an environment with nncf, onnx and onnxruntime")
    parser.add_argument("--modelopt", help="Python of an environment with nvidia-modelopt, onnx and onnxruntime")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, title, rule, model, version in _models(folder, arguments):
            row = {"kind": kind, "graph": title, "rule": rule, **_compared(model, Setting(version), folder)}
            rows.append(row)
            print(f"{row['outcome']:18} {kind:8} {title:50} {', '.join(row['rules']):24} {row['builder']}")
    counts = {name: sum(row["outcome"] == name for row in rows) for name in sorted({row["outcome"] for row in rows})}
    document = {
        "builder": next(row["label"] for row in rows if row["label"].startswith("built")),
        "versions": {"onnx": onnx.__version__, "torch": torch.__version__, "onnxruntime": _version("onnxruntime")},
        "graphs": len(rows),
        "outcomes": counts,
        "explanations": EXPLAINED,
        "rows": rows,
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(counts)


def _models(folder: Path, arguments: argparse.Namespace) -> Iterator[tuple[str, str, str, ModelProto, tuple[int, int]]]:
    for case in BROKEN:
        yield "broken", case.name, case.rule, case.make(), case.tensorrt
    for case in CLEAN:
        yield "clean", case.name, "", case.make(), case.tensorrt
    float_model = folder / "float.onnx"
    torch.manual_seed(0)
    onnx_from_module(lively(ResidualNet(classes=10, channels=3, width=16)), torch.zeros(2, *SHAPE), float_model)
    samples = np.random.default_rng(0).standard_normal((32, *SHAPE)).astype(np.float32)
    np.save(folder / "samples.npy", samples)
    for title, settings in RUNTIME_SETTINGS.items():
        path = folder / "runtime.onnx"
        quantization.quantize_static(float_model, path, _Samples(samples), **settings)
        yield "peer", f"ONNX Runtime quantize_static, {title}", "", onnx.load(path), (10, 3)
    for peer in ("nncf", "modelopt"):
        python = getattr(arguments, peer)
        if python is None:
            continue
        path = folder / f"{peer}.onnx"
        command = [python, str(PEERS / f"{peer}_onnx.py"), str(float_model), str(folder / "samples.npy"), str(path)]
        subprocess.run(command, check=True, cwd=folder)
        yield "peer", (folder / f"{peer}.onnx.txt").read_text("utf-8").strip(), "", onnx.load(path), (10, 3)


RUNTIME_SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "int8, per channel": {
        "activation_type": quantization.QuantType.QInt8,
        "weight_type": quantization.QuantType.QInt8,
        "per_channel": True,
    },
    "int8, per channel, symmetric": {
        "activation_type": quantization.QuantType.QInt8,
        "weight_type": quantization.QuantType.QInt8,
        "per_channel": True,
        "extra_options": {"ActivationSymmetric": True, "WeightSymmetric": True},
    },
    "int8, per channel, symmetric, float bias": {
        "activation_type": quantization.QuantType.QInt8,
        "weight_type": quantization.QuantType.QInt8,
        "per_channel": True,
        "extra_options": {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
    },
}


class _Samples(CalibrationDataReader):  # type: ignore[misc] # the package has no types
    def __init__(self, samples: np.ndarray) -> None:
        self.left = iter(samples[:, None])

    def get_next(self) -> dict[str, np.ndarray] | None:
        sample = next(self.left, None)
        return None if sample is None else {"input": sample}


def _compared(model: ModelProto, setting: Setting, folder: Path) -> dict[str, Any]:
    issues = broken_rules(model, setting)
    path = folder / "judged.onnx"
    path.write_bytes(model.SerializeToString())
    structure = structure_of(path)
    rules = sorted({issue.rule for issue in issues})
    refuses = any(issue.severity is Severity.ERROR for issue in issues)
    warns_of_float = any(EFFECTS[rule] is Effect.FLOAT for rule in rules)
    floats = [layer for layer in structure.layers if not layer.is_int8]
    if not structure.built:
        builder = "refused: " + " ".join(structure.errors[:1])[:160]
        outcome = "agrees" if refuses else "MISS"
    elif refuses:
        builder = f"built, {structure.int8_share:.0%} INT8"
        outcome = "explained" if set(rules) & set(EXPLAINED) else "FALSE ALARM"
    elif floats:
        builder = f"built, {len(floats)} of {len(structure.layers)} products in float"
        outcome = "agrees" if warns_of_float else "MISS"
    else:
        builder = "built, every product in INT8"
        outcome = "FALSE ALARM" if warns_of_float else "agrees"
        if outcome == "agrees" and rules:
            outcome = "agrees, advises"  # on fusion or types, which the builder does not judge without a GPU
    return {"rules": rules, "builder": builder, "label": structure.label, "outcome": outcome}


def _version(package: str) -> str:
    from importlib.metadata import version  # noqa: PLC0415 - for the record only

    return version(package)


if __name__ == "__main__":
    main()
