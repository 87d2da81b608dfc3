"""Losses beside torchdistill's, and beside their papers' formulas where torchdistill has none: values and gradients.

Usage: python benchmarks/distillation/torchdistill_losses.py --python /envs/torchdistill/bin/python [--seeds 20]

The peer runs in its own environment (torch and `pip install --no-deps torchdistill`). Inputs are random, in float64;
what is told is the largest relative difference over all seeds: of the value, and of the gradient of the student's
inputs (its length against the gradient's). Writes benchmarks/results/torchdistill_losses.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tempfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import paper_formulas as paper
import torch

from edgedistill.distill.losses.correlation import correlation_loss
from edgedistill.distill.losses.decoupled import decoupled_loss, normalized_loss
from edgedistill.distill.losses.labels import mixed_label_loss
from edgedistill.distill.losses.localization import localization_loss
from edgedistill.distill.losses.norm_direction import norm_direction_loss
from edgedistill.distill.losses.soft_targets import (
    multi_temperature_loss,
    soft_target_loss,
    standardized,
    transformed_teacher_loss,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

HERE = Path(__file__).parent
RESULT = HERE.parent / "results" / "torchdistill_losses.json"
LARGEST_DIFFERENCE = 1e-9
BATCH, CLASSES, WIDTH, POSITIONS = 16, 10, 12, 8
TEMPERATURES = (2.0, 3.0, 4.0, 5.0, 6.0)


class Inputs(NamedTuple):
    """Random inputs of one seed: by path of the layer, "logits" among them, float64."""

    student: dict[str, Tensor]
    teacher: dict[str, Tensor]
    labels: Tensor


@dataclass(frozen=True)
class Peer:
    """A loss that both have.

    Args:
        name: of ours.
        ours: from the inputs to our value.
        peer: torchdistill's class.
        options: its arguments.
        paths: layers that it is given, of both.
        tolerance: largest relative difference; above `LARGEST_DIFFERENCE` with the reason in `note`.
        note: what the two do differently.
    """

    name: str
    ours: Callable[[Inputs], Tensor]
    peer: str
    options: Mapping[str, object] = field(default_factory=dict)
    paths: tuple[str, ...] = ("logits",)
    tolerance: float = LARGEST_DIFFERENCE
    note: str = ""


@dataclass(frozen=True)
class Formula:
    """A loss that torchdistill has not: ours, and the paper's."""

    name: str
    ours: Callable[[Inputs], Tensor]
    reference: Callable[[Inputs], float]


LAYERS = {
    "student_module_path": "logits",
    "student_module_io": "output",
    "teacher_module_path": "logits",
    "teacher_module_io": "output",
}


def inputs_of(seed: int) -> Inputs:
    """Return the inputs of one seed."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "logits": (BATCH, CLASSES),
        "embedding": (BATCH, WIDTH),
        "means": (CLASSES, WIDTH),
        "edges": (BATCH, 4, POSITIONS),
        "map": (BATCH, 6, 5, 5),
    }
    student, teacher = (
        {path: 3 * torch.randn(shape, dtype=torch.float64, generator=generator) for path, shape in shapes.items()}
        for _ in range(2)
    )
    return Inputs(student, teacher, torch.randint(0, CLASSES, (BATCH,), generator=generator))


def soft(inputs: Inputs, *, temperature: float, standardize: bool = False) -> Tensor:
    """Return the soft-target loss of the logits."""
    student, teacher = inputs.student["logits"], inputs.teacher["logits"]
    if standardize:
        student, teacher = standardized(student), standardized(teacher)
    return soft_target_loss(student, teacher, temperature=temperature)


def labels(inputs: Inputs) -> Tensor:
    """Return the cross-entropy of the logits with the labels."""
    logits = inputs.student["logits"]
    return mixed_label_loss(logits, inputs.labels, inputs.labels, logits.new_zeros(len(logits)))


PEERS = [
    Peer(
        "labels 0.1 + soft targets 0.9, T = 4",
        lambda x: 0.1 * labels(x) + 0.9 * soft(x, temperature=4),
        "KDLoss",
        {**LAYERS, "temperature": 4.0, "alpha": 0.1},
    ),
    Peer(
        "labels 0.1 + soft targets 9, T = 2, standardized",
        lambda x: 0.1 * labels(x) + 9 * soft(x, temperature=2, standardize=True),
        "LogitStdKDLoss",
        {**LAYERS, "temperature": 2.0, "alpha": 0.1, "beta": 9.0},
    ),
    *(
        Peer(
            f"dist, T = {temperature:g}",
            lambda x, temperature=temperature: correlation_loss(
                x.student["logits"], x.teacher["logits"], beta=2.0, gamma=1.5, temperature=temperature
            ),
            "DISTLoss",
            {**LAYERS, "beta": 2.0, "gamma": 1.5, "tau": temperature},
            tolerance=1e-5,
            note="1e-8 keeps 0 from dividing: added to the product of lengths in ours and the paper's code, the least "
            "value of it in torchdistill's",
        )
        for temperature in (1.0, 4.0)
    ),
]
"""Losses that both have."""


def _logits(inputs: Inputs) -> tuple[Tensor, Tensor]:
    return inputs.student["logits"], inputs.teacher["logits"]


FORMULAS = [
    Formula(
        "dkd",
        lambda x: decoupled_loss(*_logits(x), x.labels, alpha=1, beta=8, temperature=4),
        lambda x: paper.dkd(*_arrays(x, "logits"), x.labels.numpy(), alpha=1, beta=8, temperature=4),
    ),
    Formula(
        "nkd",
        lambda x: normalized_loss(*_logits(x), x.labels, gamma=1.5, temperature=2),
        lambda x: paper.nkd(*_arrays(x, "logits"), x.labels.numpy(), gamma=1.5, temperature=2),
    ),
    Formula(
        "wttm",
        lambda x: transformed_teacher_loss(*_logits(x), power=0.2),
        lambda x: paper.wttm(*_arrays(x, "logits"), power=0.2),
    ),
    Formula(
        "multi-temperature",
        lambda x: multi_temperature_loss(*_logits(x), temperatures=TEMPERATURES),
        lambda x: paper.several_temperatures(*_arrays(x, "logits"), temperatures=TEMPERATURES),
    ),
    Formula(
        "kd++",
        lambda x: norm_direction_loss(x.student["embedding"], x.teacher["embedding"], x.teacher["means"], x.labels),
        lambda x: paper.norm_direction(*_arrays(x, "embedding"), x.teacher["means"].numpy(), x.labels.numpy()),
    ),
    Formula(
        "localization",
        lambda x: localization_loss(x.student["edges"], x.teacher["edges"], temperature=10),
        lambda x: paper.localization(*_arrays(x, "edges"), temperature=10),
    ),
]
"""Losses that torchdistill has not."""


def _arrays(inputs: Inputs, path: str) -> tuple[paper.Array, paper.Array]:
    return inputs.student[path].detach().numpy(), inputs.teacher[path].numpy()


def main() -> None:
    """Compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True, help="Python of the peer's environment.")
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    seeds = range(args.seeds)
    versions, peers = _compared_with_peer(args.python, seeds)
    formulas = [_compared_with_formula(item, seeds) for item in FORMULAS]
    document = {
        "machine": platform.machine(),
        "versions": {"torch": metadata.version("torch"), "peer": versions},
        "seeds": len(seeds),
        "dtype": "float64",
        "torchdistill": peers,
        "papers": formulas,
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    for row in (*peers, *formulas):
        gradient = f"{row['gradient']:.1e}" if "gradient" in row else "not compared"
        print(f"{row['loss']:50} {row['against']:20} value {row['value']:.1e}  gradient {gradient}  {row['verdict']}")
    if any(row["verdict"] == "DIFFERENT" for row in (*peers, *formulas)):
        raise SystemExit(1)


def _compared_with_peer(python: Path, seeds: range) -> tuple[dict[str, str], list[dict[str, object]]]:
    cases = [
        {
            "peer": item.peer,
            "options": dict(item.options),
            "student": {path: inputs_of(seed).student[path] for path in item.paths},
            "teacher": {path: inputs_of(seed).teacher[path] for path in item.paths},
            "labels": inputs_of(seed).labels,
        }
        for item in PEERS
        for seed in seeds
    ]
    with tempfile.TemporaryDirectory() as folder:
        inputs, values = Path(folder, "cases.pt"), Path(folder, "values.json")
        torch.save(cases, inputs)
        subprocess.run([python, HERE / "torchdistill_losses_peer.py", inputs, values], check=True)
        answer = json.loads(values.read_text("utf-8"))
    theirs = iter(answer["values"])
    rows = [_row(item, [(inputs_of(seed), next(theirs)) for seed in seeds]) for item in PEERS]
    return answer["versions"], rows


def _row(item: Peer, pairs: list[tuple[Inputs, dict[str, object]]]) -> dict[str, object]:
    values, gradients = [], []
    for inputs, theirs in pairs:
        own = [inputs.student[path].requires_grad_() for path in item.paths]
        value = item.ours(inputs)
        torch.autograd.backward(value)
        values.append(abs(float(value.detach()) - theirs["loss"]) / abs(theirs["loss"]))
        gradient = torch.cat([tensor.grad.flatten() for tensor in own])
        wanted = torch.tensor(theirs["gradient"], dtype=torch.float64)
        gradients.append(float((gradient - wanted).norm() / wanted.norm()))
    row = {"loss": item.name, "against": item.peer, "value": max(values), "gradient": max(gradients)}
    is_equal = max(*values, *gradients) <= item.tolerance
    verdict = f"equal within {item.tolerance:g}" if is_equal else "DIFFERENT"
    return {**row, "tolerance": item.tolerance, "note": item.note, "verdict": verdict}


def _compared_with_formula(item: Formula, seeds: range) -> dict[str, object]:
    differences = []
    for seed in seeds:
        wanted = item.reference(inputs_of(seed))
        differences.append(abs(float(item.ours(inputs_of(seed))) - wanted) / abs(wanted))
    verdict = f"equal within {LARGEST_DIFFERENCE:g}" if max(differences) <= LARGEST_DIFFERENCE else "DIFFERENT"
    row = {"loss": item.name, "against": "the paper's formula", "value": max(differences)}
    return {**row, "tolerance": LARGEST_DIFFERENCE, "note": "", "verdict": verdict}


if __name__ == "__main__":
    main()
