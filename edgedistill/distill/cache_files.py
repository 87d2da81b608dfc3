"""The teacher cache on disk: names, sizes, checksums. No torch, so that a plan can be made without it.

FOLDER/KEY/index.jsonl                    one line per shard, only ever appended to
FOLDER/KEY/view-0003/rows-00002048.safetensors
                                          rows 2048 to 3071 of view 3: "logits" (rows, classes), float16, or "top/..."
                                          of the largest; "features/LAYER" (rows, ...), float16 or int8, of each layer
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.durable import append_durably
from edgedistill.recipe import StoredFeatures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FORMAT = 1  # a part of the key: count up when a shard's rows, rounding or batches change
ROWS_PER_SHARD = 1024  # work that an interruption can lose
INDEX = "index.jsonl"
LOGITS = "logits"
FEATURES = "features/"

TOP_VALUES, TOP_CLASSES, TOP_REST = "top/values", "top/classes", "top/rest"
SCALES = "scales/"

MANY_CLASSES = 1000  # from here on, only the largest logits are kept, unless the recipe says otherwise
LARGEST_KEPT = 128
VALUE_BYTES = 2  # float16
SCALE_BYTES = 4  # float32
SHORT_CLASSES = 2**15  # up to here a class number is an int16, beyond an int32
HEADER_BYTES = 100  # about, for each tensor of a shard

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OutputShapes:
    """Shapes of what a model gives for one sample.

    Args:
        classes: number of logits.
        features: shape of each layer's features, without the batch.
        pixels: shape of the map that has as many logits at every place: (height, width); () where there is none.
    """

    classes: int
    features: Mapping[str, tuple[int, ...]]
    pixels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Storage:
    """How a teacher's outputs are kept.

    Args:
        top_k: how many of a row's largest logits are kept, with the mass of the others; 0 keeps all.
        temperature: at which that mass is right; of no matter where all logits are kept.
        features: type of the features.
    """

    top_k: int = 0
    temperature: float = 1.0
    features: StoredFeatures = StoredFeatures.FLOAT16

    def key_parts(self, layers: Iterable[str]) -> list[object]:
        """Return what tells these outputs from others of the same teacher: nothing where all is kept in float16."""
        top = ["top", self.top_k, self.temperature] if self.top_k else []
        return [*top, str(self.features)] if self.features is StoredFeatures.INT8 and set(layers) else top


ALL_HALF = Storage()


@dataclass(frozen=True)
class Sizes:
    """Bytes on disk, headers left out.

    Args:
        logits: of all rows.
        features: of all rows, by layer path.
    """

    logits: int
    features: Mapping[str, int]

    @property
    def total(self) -> int:
        """All of them."""
        return self.logits + sum(self.features.values())

    @property
    def text(self) -> str:
        """Them in words: "logits 4.8 MB, 'stages.1' 1.2 GB"."""
        layers = (f"'{layer}' {bytes_text(size)}" for layer, size in self.features.items())
        return ", ".join((f"logits {bytes_text(self.logits)}", *layers))


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


def kept_logits(wanted: int | None, *, classes: int) -> int:
    """Return how many logits of a row to keep; 0 means all, as wherever the largest alone would take as much space.

    Args:
        wanted: 0 for all, a number of the largest, or None: all below 1,000 classes, else the 128 largest.
        classes: of the teacher.
    """
    largest = (LARGEST_KEPT if classes >= MANY_CLASSES else 0) if wanted is None else wanted
    full = Storage()
    return largest if _logit_bytes(classes, Storage(largest)) < _logit_bytes(classes, full) else 0


def soft_targets_key(
    *,
    teacher_fingerprint: str,
    transfer_fingerprint: str,
    layers: Iterable[str] = (),
    storage: Storage = ALL_HALF,
) -> str:
    """Return the name of the folder that holds a teacher's outputs: sha256 of all that determines them."""
    kept = sorted(set(layers))
    content = [FORMAT, teacher_fingerprint, transfer_fingerprint, *kept]
    parts = storage.key_parts(kept)
    document = [content, parts] if parts else content
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


def shards_of(*, samples: int, views: int) -> list[Shard]:
    """Return the shards of views 0 to views - 1, in the order in which they are made."""
    return [
        Shard(view, start, min(ROWS_PER_SHARD, samples - start))
        for view in range(views)
        for start in range(0, samples, ROWS_PER_SHARD)
    ]


def predicted_sizes(shapes: OutputShapes, *, rows: int, storage: Storage = ALL_HALF) -> Sizes:
    """Return what some rows of a teacher's outputs take on disk."""
    return Sizes(
        rows * math.prod(shapes.pixels) * _logit_bytes(shapes.classes, storage),
        {layer: rows * _feature_bytes(shape, storage) for layer, shape in shapes.features.items()},
    )


def predicted_bytes(shapes: OutputShapes, *, samples: int, views: int, storage: Storage = ALL_HALF) -> int:
    """Return the size of the cache on disk, in bytes, within 1 % or 1 kB per shard."""
    return sum(shard_bytes(shapes, shard, storage) for shard in shards_of(samples=samples, views=views))


def shard_bytes(shapes: OutputShapes, shard: Shard, storage: Storage = ALL_HALF) -> int:
    """Return the size of one shard on disk, in bytes; the header is estimated."""
    tensors = (3 if storage.top_k else 1) + len(shapes.features) * (1 + (storage.features is StoredFeatures.INT8))
    return predicted_sizes(shapes, rows=shard.rows, storage=storage).total + HEADER_BYTES * tensors


def scale_groups(shape: tuple[int, ...]) -> int:
    """Return how many scales one sample's int8 features have: one per channel of a map, per token, or per vector."""
    return shape[0] if len(shape) > 1 else 1


def _logit_bytes(classes: int, storage: Storage) -> int:
    """Return the bytes of one row's logits."""
    if not storage.top_k:
        return classes * VALUE_BYTES
    return storage.top_k * (VALUE_BYTES + (2 if classes <= SHORT_CLASSES else 4)) + VALUE_BYTES


def _feature_bytes(shape: tuple[int, ...], storage: Storage) -> int:
    """Return the bytes of one row's features of one layer."""
    if storage.features is StoredFeatures.FLOAT16:
        return math.prod(shape) * VALUE_BYTES
    return math.prod(shape) + scale_groups(shape) * SCALE_BYTES


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that holds a folder, which need not be there yet."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(existing).free


def bytes_text(size: float) -> str:
    """Return a size in decimal units: "4.8 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - decimal units
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def listed_shards(home: Path) -> dict[Shard, str]:
    """Return the sha256 of each shard in the index; of two lines for one shard the later counts.

    A line that a crash has torn is left out: its shard will be made again.
    """
    entries = [_entry(line) for line in _index_lines(home)]
    if None in entries:
        logger.warning("teacher cache '%s': a torn line in the index; its shard is made again", home.name)
    return dict(entry for entry in entries if entry is not None)


def listed_errors(home: Path, wanted: Iterable[Shard]) -> dict[str, float]:
    """Return the largest error that storing made in any of some shards, by what was stored.

    As `stored_rows.errors_of` has it; empty where nothing was lost but float16's last bits.
    """
    chosen, largest = set(wanted), dict[str, float]()
    found = {entry[0]: _errors(line) for line in _index_lines(home) if (entry := _entry(line)) and entry[0] in chosen}
    for errors in found.values():
        for name, error in errors.items():
            largest[name] = max(error, largest.get(name, 0.0))
    return largest


def valid_shards(home: Path, wanted: Iterable[Shard]) -> set[Shard]:
    """Return those of the wanted shards that are there with the right checksum; warns of each damaged one."""
    listed = listed_shards(home)
    return {shard for shard in wanted if shard in listed and _is_valid(home / shard.name, listed[shard])}


def list_shard(home: Path, shard: Shard, *, sha256: str, errors: Mapping[str, float] | None = None) -> None:
    """Append a shard that has been written to the index, with the errors that storing made in it.

    Raises:
        ResourceError: the disk is full.
    """
    entry: dict[str, object] = {"view": shard.view, "start": shard.start, "rows": shard.rows, "sha256": sha256}
    if errors:
        entry["errors"] = dict(errors)
    append_durably(home / INDEX, json.dumps(entry).encode())


def _index_lines(home: Path) -> list[bytes]:
    try:
        return [line for line in (home / INDEX).read_bytes().splitlines() if line]
    except FileNotFoundError:
        return []


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


def _errors(line: bytes) -> dict[str, float]:
    """Return the errors in one whole line of the index; what is no number there is left out."""
    errors = json.loads(line).get("errors", {})
    if not isinstance(errors, dict):
        return {}
    return {str(name): float(error) for name, error in errors.items() if isinstance(error, int | float)}
