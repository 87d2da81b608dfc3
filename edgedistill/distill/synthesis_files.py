"""Inverted samples on disk: names, checksums, arrays. No torch, so that a plan can be made without it.

FOLDER/KEY/index.jsonl                     one line per batch, only ever appended to
FOLDER/KEY/train-0003-0256.safetensors     "raw" (batch, *raw_shape), "labels" (batch,), "gaps" (2,)
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load, save

from edgedistill.durable import append_durably, write_durably

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.recipe import Inversion

    Raw = NDArray[np.uint8] | NDArray[np.float32]

FORMAT = 1
"""A part of the key: count up when the same settings make other samples."""

INDEX = "index.jsonl"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inverted:
    """One batch of inverted samples.

    Args:
        raw: (batch, *raw_shape), as a data source gives them.
        labels: (batch,), int64: the class that each was optimised for.
        gap_at_start: statistics loss per BatchNorm layer of the noise it began with.
        gap_at_end: of what was found.
    """

    raw: Raw
    labels: NDArray[np.int64]
    gap_at_start: float
    gap_at_end: float


def synthesis_key(*, teacher_fingerprint: str, settings: Inversion, rest: object) -> str:
    """Return the name of the folder that holds a teacher's inverted samples: sha256 of all that determines them.

    How many are made is no part of it: more samples are more batches.

    Args:
        teacher_fingerprint: of the teacher.
        settings: steps and weights.
        rest: preprocessing, classes, seed, threads, versions; must have a JSON form.
    """
    counted = {"seed", "samples", "evaluation_samples", "min_confidence", "min_class_share"}
    content = [FORMAT, teacher_fingerprint, settings.model_dump(mode="json", exclude=counted), rest]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_batch(path: Path, batch: Inverted) -> None:
    """Write a batch and list it; killed between the two, it is made again."""
    gaps = np.array([batch.gap_at_start, batch.gap_at_end])
    content = save({"raw": batch.raw, "labels": batch.labels, "gaps": gaps})
    write_durably(path, content)
    line = {"name": path.name, "sha256": hashlib.sha256(content).hexdigest()}
    append_durably(path.parent / INDEX, json.dumps(line).encode())


def read_batch(path: Path, sha256: str | None) -> Inverted | None:
    """Return a batch whose checksum is right, or None; warns of a damaged one."""
    if sha256 is None or not path.is_file():
        return None
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        logger.warning("inverted samples: '%s' is damaged; it is made again", path)
        return None
    arrays = load(content)
    return Inverted(arrays["raw"], arrays["labels"], *arrays["gaps"].tolist())


def listed_batches(home: Path) -> dict[str, str]:
    """Return the sha256 of each file in the index; a line that a crash has torn is left out."""
    try:
        lines = (home / INDEX).read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    found = {}
    for line in lines:
        try:
            entry = json.loads(line)
            name, sha256 = str(entry["name"]), str(entry["sha256"])
        except (ValueError, KeyError, TypeError):
            continue
        if re.fullmatch("[0-9a-f]{64}", sha256):
            found[name] = sha256
    return found
