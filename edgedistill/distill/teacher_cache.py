"""The teacher, paid once: its outputs for every (sample, view), kept on disk and read back by row."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from contextlib import closing
from functools import lru_cache, partial
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save

from edgedistill.distill import cache_files
from edgedistill.distill.cache_files import (
    ALL_HALF,
    FEATURES,
    LOGITS,
    ROWS_PER_SHARD,
    OutputShapes,
    Shard,
    Storage,
    bytes_text,
)
from edgedistill.distill.features import checked_logits, padding_of, probe_on_data, tapped, whole_tokens
from edgedistill.distill.modes import evaluating
from edgedistill.distill.parallel.group import ALONE
from edgedistill.distill.parallel.shared_files import wait_for_files
from edgedistill.distill.prefetch import prefetched, workers_of
from edgedistill.distill.stored_rows import TeacherOutputs, errors_of, read_back, stored
from edgedistill.durable import write_durably
from edgedistill.errors import EdgeDistillError, ResourceError
from edgedistill.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgedistill.data.transfer_set import TransferSet
    from edgedistill.distill.parallel.group import Group
    from edgedistill.distill.stored_rows import Array, StoredRows
    from edgedistill.progress import Progress

ROWS_PER_BATCH = 128  # fixed: kernels round differently at other batch sizes, and a resumed cache must be the same
STALE_S = 3600.0
GB = 1e9
CLASSES = "classes"
"""The one entry of a shard's metadata, where only the largest logits are kept."""
WHOLE_VIEW_BYTES = 128 * 2**20
"""A view up to this size is read into memory at once; of a larger one, shards are mapped."""
VIEWS_OPEN = 2
READ_AHEAD = 20
"""Batches of rows that may wait for the training to ask for them."""

logger = logging.getLogger(__name__)


class SoftTargets:
    """A teacher's outputs on disk, read into memory or memory-mapped. Several threads may read at once.

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
        self.shapes = _layout_of(home / self._shards()[0].name)
        self._view = lru_cache(VIEWS_OPEN)(self._opened)
        self._ahead: OrderedDict[tuple[int, bytes], TeacherOutputs] = OrderedDict()
        self._lock = Lock()

    @property
    def hit_rate(self) -> float:
        """Share of the rows that were found rather than computed, 0 to 1."""
        return 1 - self.computed_rows / (self.samples * self.views)

    @property
    def errors(self) -> Mapping[str, float]:
        """What storing lost, as `stored_rows.errors_of` has it: the largest of any shard. Empty for plain float16."""
        return cache_files.listed_errors(self.home, self._shards())

    def rows(self, indices: Sequence[int] | NDArray[np.int64], view: int) -> TeacherOutputs:
        """Return the teacher's outputs for some samples in one view, in the order asked for.

        Raises:
            EdgeDistillError: the view has not been labelled.
        """
        wanted = np.asarray(indices, np.int64)
        self.served_rows += len(wanted)
        with self._lock:
            found = self._ahead.pop((view, wanted.tobytes()), None)
        return found or self._read(wanted, view)

    def read_ahead(self, indices: Sequence[int] | NDArray[np.int64], view: int) -> None:
        """Read rows that `rows` will soon be asked for, in the thread that calls this; a few batches are kept."""
        wanted = np.asarray(indices, np.int64)
        outputs = self._read(wanted, view)
        with self._lock:
            self._ahead[view, wanted.tobytes()] = outputs
            while len(self._ahead) > READ_AHEAD:
                self._ahead.popitem(last=False)

    def _read(self, wanted: NDArray[np.int64], view: int) -> TeacherOutputs:
        if not 0 <= view < self.views:
            raise EdgeDistillError(
                f"view {view} of the teacher's outputs",
                found="not labelled",
                wanted=f"0 to {self.views - 1}",
            )
        return read_back(self._view(view).take(wanted), classes=self.shapes.classes)

    def _shards(self) -> list[Shard]:
        return cache_files.shards_of(samples=self.samples, views=self.views)

    def _opened(self, view: int) -> _View:
        return _View([self.home / shard.name for shard in self._shards() if shard.view == view])


class _View:
    """The rows of one view.

    Args:
        paths: of its shards, in order.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._shards = [_mapped_arrays(path) for path in paths]
        if sum(values.nbytes for shard in self._shards for values in shard.values()) <= WHOLE_VIEW_BYTES:
            # one array instead of many: a batch of a shuffled epoch has rows in nearly every shard
            self._whole: dict[str, Array] | None = {
                name: np.concatenate([shard[name] for shard in self._shards]) for name in self._shards[0]
            }
            self._shards = []
        else:
            self._whole = None

    def take(self, wanted: NDArray[np.int64]) -> dict[str, Array]:
        """Return some rows' arrays, in the order asked for."""
        if self._whole is not None:
            return {name: values[wanted] for name, values in self._whole.items()}
        first = self._shards[0]
        taken = {name: np.empty((len(wanted), *values.shape[1:]), values.dtype) for name, values in first.items()}
        for block, here, places in _by_shard(wanted):
            for name, values in self._shards[block].items():
                taken[name][here] = values[places]
        return taken


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
    storage: Storage = ALL_HALF,
    max_gb: float = float("inf"),
    progress: Progress = SILENT,
    group: Group = ALONE,
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
        storage: how the outputs are kept; a part of the key.
        max_gb: largest size, in 10⁹ bytes.
        progress: where the rows are counted: of several processes, those of this one's share.
        group: the processes that label together, each every so many-th missing shard; they share the folder.

    Raises:
        ModelError: a layer is not there, the teacher has other classes than the data or fails on it, or its
            outputs are not finite or its features beyond float16.
        ResourceError: the outputs are predicted to be larger than `max_gb`, or than the disk has room for.
    """
    home = folder / key
    shapes = probe_on_data(teacher, transfer_set, layers, role="teacher")
    wanted = cache_files.shards_of(samples=len(transfer_set), views=views_needed)
    _check_size(shapes, wanted, storage, max_gb=max_gb)
    found = group.from_first(cache_files.valid_shards(home, wanted) if group.is_first else set())
    missing = [shard for shard in wanted if shard not in found]
    own = missing[group.rank :: group.count]
    free = _check_room(shapes, missing, storage, folder=folder)
    _remove_stale(home)
    found_rows, all_rows = (sum(shard.rows for shard in shards) for shards in (found, wanted))
    share = f"{_percent(found_rows / all_rows)} found"
    sizes = cache_files.predicted_sizes(shapes, rows=all_rows - found_rows, storage=storage)
    if missing:
        logger.info("teacher outputs: %s; to compute: %s; %s free", share, sizes.text, bytes_text(free))
    load = partial(_inputs, transfer_set)
    with (
        progress.track("teach", total=found_rows + sum(shard.rows for shard in own)) as tracker,
        closing(prefetched(_jobs(own), load, workers=workers_of(transfer_set))) as batches,
        evaluating(teacher),
    ):
        told = f"{share} · {bytes_text(sizes.total)} to write" if missing else share
        tracker.advance(found_rows, note=told)
        for shard in own:
            parts = []
            for rows in _row_batches(shard):
                parts.append(_outputs(teacher, next(batches), shapes, storage, padding=padding_of(transfer_set)))
                tracker.advance(len(rows), note=f"view {shard.view + 1}/{views_needed} · {told}")
            _store(home, shard, parts, classes=shapes.classes if storage.top_k else None)
    wait_for_files([home / shard.name for shard in missing], group)
    return SoftTargets(home, samples=len(transfer_set), views=views_needed, computed_rows=all_rows - found_rows)


def _jobs(shards: Sequence[Shard]) -> list[tuple[int, range]]:
    """Return the batches of some shards, in order: view and rows of each."""
    return [(shard.view, rows) for shard in shards for rows in _row_batches(shard)]


def _inputs(transfer_set: TransferSet, job: tuple[int, range]) -> Tensor:
    view, rows = job
    return torch.from_numpy(transfer_set.batch(rows, view=view).inputs)


def _store(home: Path, shard: Shard, parts: Sequence[StoredRows], *, classes: int | None) -> None:
    """Write a shard and list it; killed between the two, it is made again."""
    # contiguous: an operator may choose the layout of its outputs, and a concatenation keeps it
    tensors = {name: torch.cat([part.tensors[name] for part in parts]).contiguous() for name in parts[0].tensors}
    # one entry at most: safetensors 0.8.0 writes the entries of its metadata in random order
    content = save(tensors, metadata=None if classes is None else {CLASSES: str(classes)})
    write_durably(home / shard.name, content)
    cache_files.list_shard(home, shard, sha256=hashlib.sha256(content).hexdigest(), errors=errors_of(parts))


def _row_batches(shard: Shard) -> list[range]:
    stop = shard.start + shard.rows
    return [range(start, min(start + ROWS_PER_BATCH, stop)) for start in range(shard.start, stop, ROWS_PER_BATCH)]


@torch.inference_mode()
def _outputs(
    teacher: nn.Module, inputs: Tensor, shapes: OutputShapes, storage: Storage, *, padding: int | None
) -> StoredRows:
    """Return what a shard holds of one batch."""
    with tapped(teacher, shapes.features, role="teacher") as taps:
        logits = checked_logits(teacher(inputs), batch=len(inputs), role="teacher", pixels=shapes.pixels)
        features = {layer: whole_tokens(taps[layer], inputs, padding=padding) for layer in shapes.features}
        return stored(logits.float(), features, storage)


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _check_size(shapes: OutputShapes, shards: Sequence[Shard], storage: Storage, *, max_gb: float) -> None:
    size = sum(cache_files.shard_bytes(shapes, shard, storage) for shard in shards)
    if size > max_gb * GB:
        raise ResourceError(
            "teacher outputs",
            found=f"{size / GB:.3g} GB",
            wanted=f"at most {max_gb:.3g} GB",
            fix="raise `cache.max_gb`, use fewer views, name hint layers with fewer features, set "
            "`cache.features: int8`, or keep fewer logits with `cache.top_k`",
        )


def _check_room(shapes: OutputShapes, missing: Sequence[Shard], storage: Storage, *, folder: Path) -> int:
    """Return the free bytes."""
    size = sum(cache_files.shard_bytes(shapes, shard, storage) for shard in missing)
    free = cache_files.free_bytes(folder)
    if size > free:
        raise ResourceError(
            f"disk space in '{folder}'",
            found=f"{free / GB:.3g} GB free",
            wanted=f"{size / GB:.3g} GB for the teacher's outputs",
            fix="free some, set `cache.folder`, or use fewer views",
        )
    return free


def _remove_stale(home: Path) -> None:
    """Remove what killed runs left half written; young files may belong to another run that is at work."""
    for path in home.glob("*/.*.tmp"):
        if time.time() - path.stat().st_mtime > STALE_S:
            path.unlink(missing_ok=True)


def _mapped_arrays(path: Path) -> dict[str, Array]:
    """Return a shard's arrays, mapped from the file, which safetensors 0.8.0 does not keep open."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118 - it is no mapping


def _layout_of(path: Path) -> OutputShapes:
    """Return the shapes of what the rows of a shard were made of."""
    arrays = _mapped_arrays(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    return OutputShapes(
        classes=int(metadata[CLASSES]) if CLASSES in metadata else arrays[LOGITS].shape[1],
        pixels=() if CLASSES in metadata else arrays[LOGITS].shape[2:],
        features={
            name.removeprefix(FEATURES): values.shape[1:]
            for name, values in arrays.items()
            if name.startswith(FEATURES)
        },
    )


def _by_shard(rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield each shard's number, the positions in `rows` that fall into it, and their places in the shard."""
    order = np.argsort(rows)
    blocks, places = np.divmod(rows[order], ROWS_PER_SHARD)
    ends = [*(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(rows)] if len(rows) else []
    begin = 0
    for end in ends:
        yield int(blocks[begin]), order[begin:end], places[begin:end]
        begin = end
