"""Compares the feature losses that edgedistill and torchdistill both have, on random inputs in float64.

    python benchmarks/distillation/torchdistill_features.py --python ENVIRONMENT/bin/python

The environment has torchdistill 1.1.5 and torch; the file of inputs is the same for both. Its attention based fusion of
knowledge review stands in a module that also needs torchvision, and is not compared.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path

import torch
from torch.nn import functional

from edgedistill.distill.losses.attention_transfer import attention_transfer_loss
from edgedistill.distill.losses.contrastive import ContrastiveMemory
from edgedistill.distill.losses.hints import hint_loss
from edgedistill.distill.losses.relational import angle_loss, distance_loss
from edgedistill.distill.losses.review import hierarchical_context_loss
from edgedistill.distill.losses.similarity import similarity_preserving_loss
from edgedistill.distill.losses.variational import variational_loss

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "torchdistill_features.json"
CASES = 20
SIMILARITY = "similarity-preserving"
SIMILARITY_NOTE = (
    "torchdistill 1.1.5 divides rows of the similarity matrix by the sum of their absolute values, "
    "`normalize(gram, 1)`, whose second argument is the norm's order and not the axis; the paper (arXiv:1907.09682, "
    "equation 2) and edgedistill divide by their length. With its norm the values are equal."
)
LARGEST_DIFFERENCE = 1e-6  # relative; the squared distances of RKD cancel, and the contrast has an epsilon of 1e-7

Case = dict[str, torch.Tensor]


def random_case(seed: int) -> Case:
    """Return the inputs of every loss."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=draw)

    samples, batch, negatives, width = 30, 8, 12, 16
    indices = torch.randperm(samples, generator=draw)[:batch]
    others = torch.randint(0, samples, (batch, negatives), generator=draw)
    return {
        "student_map": normal(batch, 5, 8, 8),
        "teacher_map": normal(batch, 9, 8, 8),
        "predicted": normal(batch, 9, 8, 8),
        "same_map": normal(batch, 9, 8, 8),
        "variance": normal(9).abs() + 0.1,
        "student_vector": normal(batch, 6),
        "teacher_vector": normal(batch, 11),
        "student_embedding": functional.normalize(normal(batch, width), dim=1),
        "teacher_embedding": functional.normalize(normal(batch, width), dim=1),
        "memory_v1": normal(samples, width) / 4,
        "memory_v2": normal(samples, width) / 4,
        "indices": indices,
        "chosen": torch.cat([indices[:, None], others], 1),
    }


def values(case: Case) -> dict[str, float]:
    """Return edgedistill's loss of each method."""
    maps, vectors = (case["student_map"], case["teacher_map"]), (case["student_vector"], case["teacher_vector"])
    same = case["predicted"], case["same_map"]
    return {
        "attention-transfer": float(attention_transfer_loss(*maps)),
        SIMILARITY: float(similarity_preserving_loss(*maps)),
        f"{SIMILARITY}, torchdistill's norm": _similarity_by_sum(*maps),
        "rkd: distances": float(distance_loss(*vectors)),
        "rkd: angles": float(angle_loss(*vectors)),
        "vid": float(variational_loss(*same, case["variance"])),
        "fitnets": float(hint_loss(*same)),
        "review: hierarchical context": float(hierarchical_context_loss(*same)),
        "crd": _contrastive(case),
    }


def _similarity_by_sum(student: torch.Tensor, teacher: torch.Tensor) -> float:
    flat = student.flatten(1), teacher.flatten(1)
    scaled = [functional.normalize(features @ features.T, p=1, dim=1) for features in flat]
    return float(functional.mse_loss(*scaled))


def _contrastive(case: Case) -> float:
    samples, width = case["memory_v1"].shape
    module = ContrastiveMemory((width,), (width,), samples=samples, width=width).double()
    for linear in (module.student_embedding, module.teacher_embedding):
        torch.nn.init.eye_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    module.student_memory.copy_(case["memory_v1"])
    module.teacher_memory.copy_(case["memory_v2"])
    embeddings = case["student_embedding"], case["teacher_embedding"]
    return float(module(*embeddings, case["indices"], case["chosen"][:, 1:]))


def peer_values(python: str, cases: list[Case]) -> dict[str, object]:
    """Return what torchdistill computes, in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inputs.pt"
        torch.save(cases, path)
        command = [python, str(HERE / "torchdistill_features_peer.py"), str(path)]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Compare, print a table, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="interpreter of the environment with torchdistill")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    cases = [random_case(seed) for seed in range(CASES)]
    peer = peer_values(arguments.python, cases)
    with torch.no_grad():
        own = [values(case) for case in cases]
    theirs = peer["values"]
    assert isinstance(theirs, list)  # noqa: S101 - our own peer script wrote it
    rows = []
    for name in own[0]:
        pairs = [(a[name], b[name.split(",")[0]]) for a, b in zip(own, theirs, strict=True)]
        difference = max(abs(a - b) / abs(b) for a, b in pairs)
        rows.append({"loss": name, "first": pairs[0], "largest relative difference": difference})
        print(f"{name:44} {pairs[0][0]:14.8g} {pairs[0][1]:14.8g}   {difference:.1e}")
    versions = {"edgedistill's torch": metadata.version("torch"), **dict(peer["versions"])}  # type: ignore[call-overload]
    document = {
        "cases": CASES,
        "dtype": "float64",
        "versions": versions,
        "machine": platform.machine(),
        "losses": rows,
        "note": SIMILARITY_NOTE,
    }
    arguments.out.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    worst = max(row["largest relative difference"] for row in rows if row["loss"] != SIMILARITY)
    if worst > LARGEST_DIFFERENCE:
        raise SystemExit(f"a loss differs by {worst:.1e}, more than {LARGEST_DIFFERENCE:.0e}")


if __name__ == "__main__":
    main()
