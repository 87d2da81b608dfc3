"""The teacher, paid once: its outputs for every (sample, view), kept on disk and read back by row."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save

from edgedistill.distill import cache_files
from edgedistill.distill.cache_files import FEATURES, LOGITS, ROWS_PER_SHARD, OutputShapes, Shard
from edgedistill.distill.durable import write_durably
from edgedistill.distill.features import checked_logits, probe_on_data, tapped
from edgedistill.distill.modes import evaluating
from edgedistill.distill.prefetch import prefetched
from edgedistill.errors import EdgeDistillError, ModelError, ResourceError
from edgedistill.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgedistill.data.transfer_set import TransferSet
    from edgedistill.progress import Progress

ROWS_PER_BATCH = 128  # fixed: kernels round differently at other batch sizes, and a resumed cache must be the same
LARGEST_HALF = 65504.0
STALE_S = 3600.0
GB = 1e9

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TeacherOutputs:
    """What the teacher said of some samples in one view.

    Args:
        logits: (batch, classes), float32, rounded to float16; a row beyond float16 is shifted so that its
            largest value is 0, which leaves its softmax as it was.
        features: by layer path, (batch, ...), float32, rounded to float16.
    """

    logits: Tensor
    features: Mapping[str, Tensor]


class SoftTargets:
    """A teacher's outputs on disk, memory-mapped.

    Args:
        home: folder of this teacher's outputs.
        samples: size of the transfer set.
        views: views that have been labelled: 0 to views - 1.
        computed_rows: rows that the teacher had to compute to make this complete; the rest was found.
    """

    def __init__(self, home: Path, *, samples: int, views: int, computed_rows: int = 0) -> None:
        self.home, self.samples, self.views = home, samples, views
        self.computed_rows = computed_rows
        self.served_rows = 0
        self._shards = {(shard.view, shard.start): shard for shard in self._all_shards()}
        self._mapped: dict[int, dict[str, NDArray[np.float16]]] = {}
        self._mapped_view = -1
        self.shapes = _shapes_in(home / self._all_shards()[0].name)

    @property
    def hit_rate(self) -> float:
        """Share of the rows that were found rather than computed, 0 to 1."""
        return 1 - self.computed_rows / (self.samples * self.views)

    def rows(self, indices: Sequence[int] | NDArray[np.int64], view: int) -> TeacherOutputs:
        """Return the teacher's outputs for some samples in one view, in the order asked for.

        Raises:
            EdgeDistillError: the view has not been labelled.
        """
        if not 0 <= view < self.views:
            raise EdgeDistillError(
                f"view {view} of the teacher's outputs",
                found="not labelled",
                wanted=f"0 to {self.views - 1}",
            )
        wanted = np.asarray(indices, np.int64)
        outputs = self._empty(len(wanted))
        for start, here, places in _by_shard(wanted):
            for name, values in self._arrays(view, start).items():
                outputs[name][here] = values[places]
        self.served_rows += len(wanted)
        return _teacher_outputs(outputs)

    def _all_shards(self) -> list[Shard]:
        return cache_files.shards_of(samples=self.samples, views=self.views)

    def _empty(self, rows: int) -> dict[str, NDArray[np.float16]]:
        features = {FEATURES + path: (rows, *shape) for path, shape in self.shapes.features.items()}
        shapes = {LOGITS: (rows, self.shapes.classes), **features}
        return {name: np.empty(shape, np.float16) for name, shape in shapes.items()}

    def _arrays(self, view: int, start: int) -> dict[str, NDArray[np.float16]]:
        """Return a shard's arrays, mapped; only one view's shards stay mapped."""
        if view != self._mapped_view:
            self._mapped, self._mapped_view = {}, view
        if start not in self._mapped:
            self._mapped[start] = _mapped_arrays(self.home / self._shards[view, start].name)
        return self._mapped[start]


def open_soft_targets(*, key: str, folder: Path, samples: int, views_needed: int) -> SoftTargets | None:
    """Return the teacher's outputs, without the teacher, if all are there and whole; else None.

    Args:
        key: as `cache_files.soft_targets_key` gives it.
        folder: of the cache; the outputs are in `folder / key`.
        samples: size of the transfer set.
        views_needed: as `schedule.views_used` gives it.
    """
    wanted = cache_files.shards_of(samples=samples, views=views_needed)
    if len(cache_files.valid_shards(folder / key, wanted)) < len(wanted):
        return None
    return SoftTargets(folder / key, samples=samples, views=views_needed)


def teach(
    teacher: nn.Module,
    transfer_set: TransferSet,
    *,
    key: str,
    folder: Path,
    views_needed: int,
    layers: Sequence[str] = (),
    max_gb: float = float("inf"),
    progress: Progress = SILENT,
) -> SoftTargets:
    """Return the teacher's outputs for every sample in its first views; compute those that the cache has not.

    The teacher runs in evaluation mode and is left as it was. Interrupted and called again, it goes on where
    it was, and the shards are the same, byte for byte, as without the interruption. A shard that is missing
    or whose checksum is wrong is computed again, alone, with a warning.

    Args:
        teacher: maps (batch, *input_shape), float32, to logits (batch, classes).
        transfer_set: what to label.
        key: as `cache_files.soft_targets_key` gives it.
        folder: of the cache; the outputs go to `folder / key`.
        views_needed: views 0 to views_needed - 1 are labelled; see `schedule.views_used`.
        layers: dotted paths of the layers whose features are kept.
        max_gb: largest size, in 10⁹ bytes.
        progress: where the rows are counted.

    Raises:
        ModelError: a layer is not there, the teacher has other classes than the data or fails on it, or its
            outputs are not finite or its features beyond float16.
        ResourceError: the outputs are predicted to be larger than `max_gb`, or than the disk has room for.
    """
    home = folder / key
    shapes = probe_on_data(teacher, transfer_set, layers, role="teacher")
    wanted = cache_files.shards_of(samples=len(transfer_set), views=views_needed)
    _check_size(shapes, wanted, max_gb=max_gb)
    found = cache_files.valid_shards(home, wanted)
    missing = [shard for shard in wanted if shard not in found]
    _check_room(shapes, missing, folder=folder)
    _remove_stale(home)
    with (
        progress.track("teach", total=sum(shard.rows for shard in wanted)) as tracker,
        closing(prefetched(_jobs(missing), partial(_inputs, transfer_set))) as batches,
        evaluating(teacher),
    ):
        tracker.advance(sum(shard.rows for shard in found), note=f"{len(found)}/{len(wanted)} shards found")
        for shard in missing:
            parts = []
            for rows in _row_batches(shard):
                parts.append(_outputs(teacher, next(batches), layers))
                tracker.advance(len(rows), note=f"view {shard.view + 1}/{views_needed}")
            _store(home, shard, parts)
    computed = sum(shard.rows for shard in missing)
    return SoftTargets(home, samples=len(transfer_set), views=views_needed, computed_rows=computed)


def half_logits(logits: Tensor) -> Tensor:
    """Return logits (rows, classes) as float16, with the same softmax.

    A row with a value beyond ±65504 is shifted by its largest value. What is then still below -65504 becomes
    -65504: its probability is 0 in float32 before and after, at any temperature up to 600.

    Raises:
        ModelError: a value is not finite.
    """
    if not torch.isfinite(logits).all():
        raise ModelError(
            "teacher", found="its logits are not finite", wanted="finite logits", fix="check weights and data"
        )
    beyond = logits.abs().amax(1, keepdim=True) > LARGEST_HALF
    shifted = (logits - logits.amax(1, keepdim=True)).clamp(min=-LARGEST_HALF)
    return torch.where(beyond, shifted, logits).half()


def half_features(features: Tensor, *, layer: str) -> Tensor:
    """Return features as float16.

    Raises:
        ModelError: a value is not finite or beyond float16; features, unlike logits, can't be shifted.
    """
    largest = float(features.abs().amax())
    if not largest <= LARGEST_HALF:
        raise ModelError(
            f"layer '{layer}' of the teacher",
            found=f"features up to {largest:g}",
            wanted=f"at most {LARGEST_HALF:g}, the largest float16",
            fix="name a layer behind a normalisation",
        )
    return features.half()


def _jobs(shards: Sequence[Shard]) -> list[tuple[int, range]]:
    """Return the batches of some shards, in order: view and rows of each."""
    return [(shard.view, rows) for shard in shards for rows in _row_batches(shard)]


def _inputs(transfer_set: TransferSet, job: tuple[int, range]) -> Tensor:
    view, rows = job
    return torch.from_numpy(transfer_set.batch(rows, view=view).inputs)


def _store(home: Path, shard: Shard, parts: Sequence[Mapping[str, Tensor]]) -> None:
    """Write a shard and list it; killed between the two, it is made again."""
    content = save({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    write_durably(home / shard.name, content)
    cache_files.list_shard(home, shard, sha256=hashlib.sha256(content).hexdigest())


def _row_batches(shard: Shard) -> list[range]:
    stop = shard.start + shard.rows
    return [range(start, min(start + ROWS_PER_BATCH, stop)) for start in range(shard.start, stop, ROWS_PER_BATCH)]


@torch.inference_mode()
def _outputs(teacher: nn.Module, inputs: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Return the float16 tensors of one batch, named as in a shard."""
    with tapped(teacher, layers, role="teacher") as taps:
        logits = checked_logits(teacher(inputs), batch=len(inputs), role="teacher")
        features = {FEATURES + layer: half_features(taps[layer], layer=layer) for layer in sorted(set(layers))}
    return {LOGITS: half_logits(logits.float()), **features}


def _check_size(shapes: OutputShapes, shards: Sequence[Shard], *, max_gb: float) -> None:
    size = sum(cache_files.shard_bytes(shapes, shard) for shard in shards)
    if size > max_gb * GB:
        raise ResourceError(
            "teacher outputs",
            found=f"{size / GB:.3g} GB",
            wanted=f"at most {max_gb:.3g} GB",
            fix="raise `cache.max_gb`, use fewer views, or name hint layers with fewer features",
        )


def _check_room(shapes: OutputShapes, missing: Sequence[Shard], *, folder: Path) -> None:
    size = sum(cache_files.shard_bytes(shapes, shard) for shard in missing)
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if size > free:
        raise ResourceError(
            f"disk space in '{folder}'",
            found=f"{free / GB:.3g} GB free",
            wanted=f"{size / GB:.3g} GB for the teacher's outputs",
            fix="free some, set `cache.folder`, or use fewer views",
        )


def _remove_stale(home: Path) -> None:
    """Remove what killed runs left half written; young files may belong to another run that is at work."""
    for path in home.glob("*/.*.tmp"):
        if time.time() - path.stat().st_mtime > STALE_S:
            path.unlink(missing_ok=True)


def _mapped_arrays(path: Path) -> dict[str, NDArray[np.float16]]:
    """Return a shard's arrays, mapped from the file, which safetensors 0.8.0 does not keep open."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118 - it is no mapping


def _shapes_in(path: Path) -> OutputShapes:
    shapes = {name: tuple(array.shape[1:]) for name, array in _mapped_arrays(path).items()}
    (classes,) = shapes.pop(LOGITS)
    return OutputShapes(
        classes=classes,
        features={name.removeprefix(FEATURES): shape for name, shape in shapes.items()},
    )


def _by_shard(rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield each shard's start, the positions in `rows` that fall into it, and their places in the shard."""
    order = np.argsort(rows)
    blocks, places = np.divmod(rows[order], ROWS_PER_SHARD)
    ends = [*(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(rows)] if len(rows) else []
    begin = 0
    for end in ends:
        yield int(blocks[begin]) * ROWS_PER_SHARD, order[begin:end], places[begin:end]
        begin = end


def _teacher_outputs(arrays: Mapping[str, NDArray[np.float16]]) -> TeacherOutputs:
    tensors = {name: torch.from_numpy(array).float() for name, array in arrays.items()}
    logits = tensors.pop(LOGITS)
    return TeacherOutputs(logits, {name.removeprefix(FEATURES): values for name, values in tensors.items()})
