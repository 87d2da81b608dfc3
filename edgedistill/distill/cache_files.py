"""The teacher cache on disk: names, sizes, checksums. No torch, so that a plan can be made without it.

FOLDER/KEY/index.jsonl                    one line per shard, only ever appended to
FOLDER/KEY/view-0003/rows-00002048.safetensors
                                          rows 2048 to 3071 of view 3, float16: "logits" (rows, classes) and
                                          "features/LAYER" (rows, ...) of each layer
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.distill.durable import append_durably

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FORMAT = 1  # a part of the key: count up when a shard's rows, rounding or batches change
ROWS_PER_SHARD = 1024  # work that an interruption can lose
INDEX = "index.jsonl"
LOGITS = "logits"
FEATURES = "features/"

VALUE_BYTES = 2  # float16
HEADER_BYTES = 256  # about, for each tensor of a shard

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OutputShapes:
    """Shapes of what a model gives for one sample.

    Args:
        classes: number of logits.
        features: shape of each layer's features, without the batch.
    """

    classes: int
    features: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, order=True)
class Shard:
    """A block of rows of one view.

    Args:
        view: 0, 1, ...
        start: the first sample; a multiple of ROWS_PER_SHARD.
        rows: ROWS_PER_SHARD, or what is left.
    """

    view: int
    start: int
    rows: int

    @property
    def name(self) -> str:
        """Path inside the cache's folder."""
        return f"view-{self.view:04}/rows-{self.start:08}.safetensors"


def soft_targets_key(*, teacher_fingerprint: str, transfer_fingerprint: str, layers: Iterable[str] = ()) -> str:
    """Return the name of the folder that holds a teacher's outputs: sha256 of all that determines them."""
    content = [FORMAT, teacher_fingerprint, transfer_fingerprint, *sorted(set(layers))]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def shards_of(*, samples: int, views: int) -> list[Shard]:
    """Return the shards of views 0 to views - 1, in the order in which they are made."""
    return [
        Shard(view, start, min(ROWS_PER_SHARD, samples - start))
        for view in range(views)
        for start in range(0, samples, ROWS_PER_SHARD)
    ]


def predicted_bytes(shapes: OutputShapes, *, samples: int, views: int) -> int:
    """Return the size of the cache on disk, in bytes, within 1 % or 1 kB per shard."""
    shards = shards_of(samples=samples, views=views)
    return sum(shard_bytes(shapes, shard) for shard in shards)


def shard_bytes(shapes: OutputShapes, shard: Shard) -> int:
    """Return the size of one shard on disk, in bytes; the header is estimated."""
    values = shapes.classes + sum(_product(shape) for shape in shapes.features.values())
    return shard.rows * values * VALUE_BYTES + HEADER_BYTES * (1 + len(shapes.features))


def listed_shards(home: Path) -> dict[Shard, str]:
    """Return the sha256 of each shard in the index; of two lines for one shard the later counts.

    A line that a crash has torn is left out: its shard will be made again.
    """
    try:
        lines = (home / INDEX).read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    entries = [_entry(line) for line in lines if line]
    if None in entries:
        logger.warning("teacher cache '%s': a torn line in the index; its shard is made again", home.name)
    return dict(entry for entry in entries if entry is not None)


def valid_shards(home: Path, wanted: Iterable[Shard]) -> set[Shard]:
    """Return those of the wanted shards that are there with the right checksum; warns of each damaged one."""
    listed = listed_shards(home)
    return {shard for shard in wanted if shard in listed and _is_valid(home / shard.name, listed[shard])}


def list_shard(home: Path, shard: Shard, *, sha256: str) -> None:
    """Append a shard that has been written to the index.

    Raises:
        ResourceError: the disk is full.
    """
    entry = {"view": shard.view, "start": shard.start, "rows": shard.rows, "sha256": sha256}
    append_durably(home / INDEX, json.dumps(entry).encode())


def _is_valid(path: Path, sha256: str) -> bool:
    if not path.is_file():
        logger.warning("teacher cache: shard '%s' is gone; it is made again", path)
        return False
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        logger.warning(
            "teacher cache: shard '%s' is damaged (sha256 %.12s…, wanted %.12s…); it is made again",
            path,
            found,
            sha256,
        )
    return found == sha256


def _entry(line: bytes) -> tuple[Shard, str] | None:
    """Return a shard and its sha256 from one line of the index, or None from a torn one."""
    try:
        entry = json.loads(line)
        shard = Shard(*(int(entry[name]) for name in ("view", "start", "rows")))
        sha256 = str(entry["sha256"])
    except (ValueError, KeyError, TypeError):
        return None
    return (shard, sha256) if re.fullmatch("[0-9a-f]{64}", sha256) else None


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
