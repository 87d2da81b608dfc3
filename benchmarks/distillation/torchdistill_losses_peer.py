"""The peer's part of `torchdistill_losses.py`: runs in an environment of its own, with torch and torchdistill alone.

Usage: python torchdistill_losses_peer.py CASES.pt VALUES.json
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import torch
from torchdistill.losses import mid_level


def main() -> None:
    """Evaluate every case that the file names."""
    cases, values = Path(sys.argv[1]), Path(sys.argv[2])
    found = [_evaluated(case) for case in torch.load(cases, weights_only=True)]
    versions = {name: metadata.version(name) for name in ("torch", "torchdistill")}
    values.write_text(json.dumps({"versions": versions, "values": found}), "utf-8")


def _evaluated(case: dict[str, object]) -> dict[str, object]:
    """Return the loss and the gradient of the student's tensors, flat, of one case."""
    student = {path: tensor.requires_grad_() for path, tensor in case["student"].items()}
    loss = getattr(mid_level, case["peer"])(**case["options"]).double()
    inputs = {path: {"output": tensor} for path, tensor in student.items()}
    value = loss(inputs, {path: {"output": tensor} for path, tensor in case["teacher"].items()}, case["labels"])
    torch.autograd.backward(value)
    gradients = [entry for tensor in student.values() for entry in tensor.grad.flatten().tolist()]
    return {"loss": float(value.detach()), "gradient": gradients}


if __name__ == "__main__":
    main()
