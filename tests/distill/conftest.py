"""A transfer set of noise, a teacher and a student that train in milliseconds."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.data.transfer_set import Batch, Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

CLASSES = ("a", "b", "c")


class NoiseSet:
    """Implements TransferSet: noise that is brighter for later classes; a view rolls it and mixes labels."""

    def __init__(self, count: int, *, view_count: int, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        labels = draw.integers(0, len(CLASSES), count)
        raw = draw.integers(0, 256, (count, 6, 6, 1), dtype=np.uint8)
        fingerprint = hashlib.sha256(raw.tobytes() + labels.tobytes()).hexdigest()
        self.samples = Samples(raw, labels, CLASSES, fingerprint)
        self.preprocessing = ImagePreprocessing(size=(6, 6), channels=1)
        self._view_count = view_count
        self.batches = Counter[int]()

    @property
    def fingerprint(self) -> str:
        return f"{self.samples.fingerprint}-{self._view_count}"

    @property
    def view_count(self) -> int:
        return self._view_count

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, indices: Sequence[int] | NDArray[np.int64], *, view: int) -> Batch:
        assert 0 <= view < self._view_count
        self.batches[view] += 1
        chosen = np.asarray(indices)
        inputs = self._inputs(chosen)
        inputs = np.roll(inputs, view, axis=-1)
        mix = (chosen % 4 / 8).astype(np.float32)
        labels = self.samples.labels
        return Batch(inputs, labels[chosen], labels[(chosen + view) % len(labels)], mix)

    def plain(self, indices: Sequence[int] | NDArray[np.int64]) -> Batch:
        chosen = np.asarray(indices)
        labels = self.samples.labels[chosen]
        return Batch(self._inputs(chosen), labels, labels, np.zeros(len(chosen), np.float32))

    def _inputs(self, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        pixels = self.samples.raw[chosen].astype(np.float32) / 255
        brightness = self.samples.labels[chosen, None, None, None].astype(np.float32)
        return pixels.transpose(0, 3, 1, 2) + brightness - np.float32(1.5)


class SmallNet(nn.Module):
    """Convolution, norm, an activation in place, dropout, head: what a checkpoint must get right."""

    def __init__(self, width: int, *, classes: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, stride, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.stages = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU())
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(width, classes)
        self.unused = nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.stages(self.stem(images)).mean((2, 3))
        logits: torch.Tensor = self.head(self.dropout(features))
        return logits


class Recorder:
    """Implements Progress: keeps what it is told."""

    def __init__(self) -> None:
        self.title, self.total, self.steps = "", 0, 0
        self.notes: list[str] = []
        self.on_advance: Callable[[], None] = lambda: None

    @contextmanager
    def track(self, title: str, *, total: int) -> Iterator[Recorder]:
        self.title, self.total = title, total
        yield self

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        self.steps += steps
        self.notes.append(note)
        self.on_advance()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def noise_set() -> Callable[..., NoiseSet]:
    return NoiseSet


@pytest.fixture
def small_net() -> Callable[..., SmallNet]:
    """Return a maker of nets with seeded weights."""

    def make(width: int = 4, *, seed: int = 0, classes: int = 3, stride: int = 1) -> SmallNet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return SmallNet(width, classes=classes, stride=stride)

    return make


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
