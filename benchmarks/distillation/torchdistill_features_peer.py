"""Runs in an environment with torchdistill: computes its feature losses on the inputs of a file, prints them as JSON.

python torchdistill_features_peer.py INPUTS.pt
"""

from __future__ import annotations

import json
import sys
from importlib import metadata

import torch
from torchdistill.losses import mid_level


def values(case: dict[str, torch.Tensor]) -> dict[str, float]:
    """Return the loss of each method."""
    student, teacher = io(case["student_map"]), io(case["teacher_map"])
    vectors = io(case["student_vector"]), io(case["teacher_vector"])
    pair = {"pair": {side: {"io": "output", "path": "layer"} for side in ("student", "teacher")}}
    predicted = {"layer": {"output": (case["predicted"], case["variance"][None, :, None, None])}}
    return {
        "attention-transfer": float(mid_level.ATLoss(pair, mode="code")(student, teacher)),
        "similarity-preserving": float(mid_level.SPKDLoss("layer", "layer", "batchmean")(student, teacher)),
        "rkd: distances": float(mid_level.RKDLoss("layer", "layer", 1, 0, "mean")(*vectors)),
        "rkd: angles": float(mid_level.RKDLoss("layer", "layer", 0, 1, "mean")(*vectors)),
        "vid": float(mid_level.VIDLoss(pair)(predicted, io(case["same_map"]))),
        "fitnets": hint(case),
        "review: hierarchical context": float(
            mid_level.HierarchicalContextLoss("layer", "output", "layer", "output")(
                {"layer": {"output": (case["predicted"], None)}}, io(case["same_map"])
            )
        ),
        "crd": contrastive(case),
    }


def io(value: torch.Tensor) -> dict[str, dict[str, torch.Tensor]]:
    """Return a layer's output as torchdistill keeps it."""
    return {"layer": {"output": value}}


def hint(case: dict[str, torch.Tensor]) -> float:
    """Return torchdistill's wrapped mean squared error."""
    sides = {"input": {"is_from_teacher": False, "module_path": "layer", "io": "output"}}
    sides["target"] = {"is_from_teacher": True, "module_path": "layer", "io": "output"}
    wrapped = mid_level.SimpleLossWrapper(torch.nn.MSELoss(), **sides)
    return float(wrapped(io(case["predicted"]), io(case["same_map"]), None))


def contrastive(case: dict[str, torch.Tensor]) -> float:
    """Return the contrastive loss of normalised embeddings with given memories and negatives."""
    count, (samples, width) = case["chosen"].shape[1] - 1, case["memory_v1"].shape
    loss = mid_level.CRDLoss("student", "empty", "teacher", width, samples, count, samples).double()
    for name in ("memory_v1", "memory_v2"):
        getattr(loss, name).copy_(case[name])
    scores = loss.contrast_memory(case["student_embedding"], case["teacher_embedding"], case["indices"], case["chosen"])
    return float(sum(loss.compute_contrast_loss(score[:, :, 0]) for score in scores))


def main() -> None:
    """Print the values of every case, and the versions."""
    cases = torch.load(sys.argv[1], weights_only=True)
    versions = {name: metadata.version(name) for name in ("torchdistill", "torch")}
    with torch.no_grad():
        print(json.dumps({"versions": versions, "values": [values(case) for case in cases]}))


if __name__ == "__main__":
    main()
