"""A set of inverted samples: made batch by batch, kept, found again; and what the teacher says of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistill.data.checks import refuse_large
from edgedistill.distill.inversion import inverted_batch
from edgedistill.distill.modes import evaluating
from edgedistill.distill.schedule import seed_of
from edgedistill.distill.synthesis_files import Inverted, listed_batches, read_batch, write_batch
from edgedistill.errors import GateError
from edgedistill.progress import SILENT

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from edgedistill.data.checks import Split
    from edgedistill.distill.inversion import InputSpace, Raw
    from edgedistill.progress import Progress, Tracker
    from edgedistill.recipe import Inversion

ROWS_PER_BATCH = 128
SMALLEST_BATCH = 2


@dataclass(frozen=True)
class Synthesised:
    """Samples that were made from a teacher.

    Args:
        raw: (n, *raw_shape), as a data source gives them.
        labels: (n,), int64: the class that each was optimised for.
        gap_at_start: mean statistics loss per BatchNorm layer of the noise.
        gap_at_end: of the samples.
        size_bytes: on disk.
        folder: where they are kept.
    """

    raw: Raw
    labels: NDArray[np.int64]
    gap_at_start: float
    gap_at_end: float
    size_bytes: int
    folder: Path


@dataclass(frozen=True)
class TeacherView:
    """What a teacher says of samples.

    Args:
        confidence: mean of the largest probability, 0 to 1.
        entropy_nats: mean entropy of the class distribution.
        agreement: share of the samples whose answer is their label, 0 to 1.
        counts: (classes,): how often each class is the answer.
    """

    confidence: float
    entropy_nats: float
    agreement: float
    counts: tuple[int, ...]

    @property
    def least_share(self) -> float:
        """The rarest answer's share, as a part of an even share: 1 where all are as frequent."""
        return min(self.counts) * len(self.counts) / sum(self.counts)


def synthesise(
    teacher: nn.Module,
    space: InputSpace,
    *,
    classes: int,
    count: int,
    split: Split,
    settings: Inversion,
    seed: int,
    home: Path,
    progress: Progress = SILENT,
) -> Synthesised:
    """Return samples inverted from a teacher; make those batches that the folder has not.

    Interrupted and called again, it goes on at the batch where it was, and every file is the same, byte for byte. A
    batch that is missing or whose checksum is wrong is made again, alone, with a warning.

    Args:
        teacher: maps (batch, *input_shape), float32, to logits (batch, classes), with BatchNorm layers.
        space: where the inputs are optimised.
        classes: how many there are.
        count: samples wanted.
        split: "train", or "test" for others that no training sees.
        settings: of the inversion.
        seed: of noise and rolling.
        home: folder of these samples: `synthesis_key` is its name.
        progress: where the steps are counted.

    Raises:
        ModelError: the loss is not finite.
        ResourceError: the samples do not fit into memory, or the disk is full.
    """
    numbers = _batches(count, settings.batch_size)
    sample = space.raw(space.start(1, torch.Generator().manual_seed(0)))
    refuse_large(count * sample.nbytes, thing="inverted samples")
    listed = listed_batches(home)
    files = [home / f"{split}-{number:04}-{len(rows):04}.safetensors" for number, rows in enumerate(numbers)]
    found: list[Inverted] = []
    with progress.track(f"invert the teacher ({split})", total=len(numbers) * settings.steps) as tracker:
        for number, (rows, path) in enumerate(zip(numbers, files, strict=True)):
            batch = read_batch(path, listed.get(path.name))
            if batch is None:
                batch = inverted_batch(
                    teacher,
                    space,
                    np.arange(rows.start, rows.stop, dtype=np.int64) % classes,
                    settings=settings,
                    seed=seed_of(seed, "inversion", split, number),
                    on_step=partial(_advance, tracker, f"batch {number + 1}/{len(numbers)}"),
                )
                write_batch(path, batch)
            else:
                tracker.advance(settings.steps, note=f"batch {number + 1}/{len(numbers)} found")
            found.append(batch)
    return Synthesised(
        raw=np.concatenate([batch.raw for batch in found]),
        labels=np.concatenate([batch.labels for batch in found]),
        gap_at_start=float(np.mean([batch.gap_at_start for batch in found])),
        gap_at_end=float(np.mean([batch.gap_at_end for batch in found])),
        size_bytes=sum(path.stat().st_size for path in files),
        folder=home,
    )


def _advance(tracker: Tracker, place: str, state: str) -> None:
    tracker.advance(note=f"{place} · {state}")


@torch.inference_mode()
def seen_by(teacher: nn.Module, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> TeacherView:
    """Return what a teacher says of samples.

    Args:
        teacher: maps (batch, *input_shape) to logits; left as it was.
        inputs: (n, *input_shape), n at least 1.
        labels: (n,).
    """
    with evaluating(teacher):
        parts = [
            torch.log_softmax(teacher(torch.from_numpy(inputs[start : start + ROWS_PER_BATCH])).double(), 1)
            for start in range(0, len(inputs), ROWS_PER_BATCH)
        ]
    logs = torch.cat(parts)
    answers = logs.argmax(1)
    return TeacherView(
        confidence=float(logs.exp().amax(1).mean()),
        entropy_nats=float(-(logs.exp() * logs.clamp(min=-1e30)).sum(1).mean()),
        agreement=float((answers == torch.from_numpy(labels)).double().mean()),
        counts=tuple(torch.bincount(answers, minlength=logs.shape[1]).tolist()),
    )


def require_fit(view: TeacherView, settings: Inversion, *, classes: tuple[str, ...], folder: Path) -> None:
    """Raise where inverted samples are not what a teacher takes for its own data, in all classes.

    Args:
        view: what the teacher says of them.
        settings: with the thresholds.
        classes: names in label order.
        folder: where the samples can be looked at.

    Raises:
        GateError: the teacher is not sure enough, or hardly ever names some class.
    """
    fix = (
        "raise 'data.inversion.steps' or lower 'statistics_weight'; else use a few real samples of each class "
        f"(examples/few_samples.yaml); the samples are in '{folder}'"
    )
    if view.confidence < settings.min_confidence:
        raise GateError(
            "samples inverted from the teacher",
            found=f"a mean confidence of {view.confidence:.3f} (entropy {view.entropy_nats:.2f} nats)",
            wanted=f"at least {settings.min_confidence:g} ('data.inversion.min_confidence')",
            fix=fix,
        )
    if view.least_share < settings.min_class_share:
        rarest = int(np.argmin(view.counts))
        raise GateError(
            "samples inverted from the teacher",
            found=f"'{classes[rarest]}' is the answer for {view.counts[rarest]} of {sum(view.counts)}, "
            f"{view.least_share:.2f} of an even share",
            wanted=f"at least {settings.min_class_share:g} ('data.inversion.min_class_share')",
            fix=fix,
        )


def _batches(count: int, size: int) -> list[range]:
    """Return the rows of each batch; a last one of a single row joins the one before: it would have no variance."""
    starts = list(range(0, count, size))
    if len(starts) > 1 and count - starts[-1] < SMALLEST_BATCH:
        starts.pop()
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], count], strict=True)]
