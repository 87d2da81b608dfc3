"""What one of several processes does in the tests of `distill/parallel`: trains, and leaves its end in a file.

RANK=0 WORLD_SIZE=2 ... python shared_work.py CASE FOLDER
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.data.transfer_set import Batch, Samples
from edgedistill.distill.cache_files import ROWS_PER_SHARD
from edgedistill.distill.methods.chosen import teacher_layers
from edgedistill.distill.objective import DistillObjective
from edgedistill.distill.parallel.group import Group, joined
from edgedistill.distill.teacher_cache import teach
from edgedistill.distill.training import fit
from edgedistill.errors import EdgeDistillError, ResourceError
from edgedistill.launcher import launch
from edgedistill.recipe import Distill, Hint, Optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgedistill.distill.history import StepInfo

SAMPLES = 2085  # three shards, the last of 37 rows; an odd number, so that shares are unequal
HINTS = (Hint(teacher="stages.0", student="stages.0"),)
SETTINGS = Distill(
    epochs=0.1, batch_size=9, optimizer=Optimizer.SGD, learning_rate=0.05, ema=0.9, hints=HINTS, label_weight=1.0
)


class NoiseSet:
    """Implements TransferSet: noise, and labels of which every third is not known: shares know unequally many."""

    view_count = 1

    def __init__(self) -> None:
        draw = np.random.default_rng(0)
        raw = draw.integers(0, 256, (SAMPLES, 6, 6, 1), dtype=np.uint8)
        labels = draw.integers(0, 3, SAMPLES)
        labels[::3] = -1
        self.samples = Samples(raw, labels, ("a", "b", "c"), "noise")
        self.preprocessing = ImagePreprocessing(size=(6, 6), channels=1)
        self.fingerprint = "noise"

    def __len__(self) -> int:
        return SAMPLES

    labelled: ClassVar[list[int]] = []
    """First of each shard whose samples were asked for by the teacher."""

    def batch(self, indices: Sequence[int] | NDArray[np.int64], *, view: int) -> Batch:
        """Return samples, each mixed with the next by a quarter at most."""
        if isinstance(indices, range) and indices.start % ROWS_PER_SHARD == 0:
            self.labelled.append(indices.start)
        chosen = np.asarray(indices) + view
        mixed_labels = self.samples.labels[(chosen + 1) % SAMPLES]
        return Batch(
            self._inputs(chosen), self.samples.labels[chosen], mixed_labels, (chosen % 4 / 16).astype(np.float32)
        )

    def plain(self, indices: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return samples as they are."""
        return self.batch(np.asarray(indices), view=0)

    def _inputs(self, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        pixels = self.samples.raw[chosen].astype(np.float32) / 255 - np.float32(0.5)
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


class Net(nn.Module):
    """Convolution, batch norm, an activation in place, and a second batch norm over vectors; in float64 inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.stages = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU())
        self.norm = nn.BatchNorm1d(width, momentum=None)
        self.head = nn.Linear(width, 3)
        self.double()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, 3)."""
        features: Tensor = self.stages(self.stem(images.double())).mean((2, 3))
        logits: Tensor = self.head(self.norm(features))
        return logits


class WholeBatchObjective(DistillObjective):
    """The distillation losses, and one that compares the samples of a batch with each other."""

    def __call__(self, model: nn.Module, inputs: Tensor, batch: Batch, indices: NDArray[np.int64], view: int) -> Tensor:
        """Return the loss."""
        seen: list[Tensor] = []
        handle = model.get_submodule("norm").register_forward_hook(lambda _module, _inputs, output: seen.append(output))
        loss = super().__call__(model, inputs, batch, indices, view)
        handle.remove()
        noise = torch.rand(len(indices), len(indices))  # what a loss draws is the same everywhere
        return loss + (noise * (seen[0] @ seen[0].T - torch.eye(len(indices)))).square().mean()


def train(
    folder: Path,
    group: Group,
    *,
    checkpoint: Path | None = None,
    on_step: Callable[[StepInfo], None] | None = None,
) -> dict[str, object]:
    """Label with a teacher and train a student; return all that came of it."""
    torch.set_num_threads(1)
    transfer_set = NoiseSet()
    torch.manual_seed(9)
    teacher = Net(6)
    soft_targets = teach(
        teacher,
        transfer_set,
        key="k",
        folder=folder / "cache",
        views_needed=1,
        layers=teacher_layers(SETTINGS),
        group=group,
    )
    (folder / f"labelled-by-{group.rank}").write_text(" ".join(map(str, transfer_set.labelled)), "utf-8")
    torch.manual_seed(group.rank)  # other weights in each: the first's count
    student = Net(4)
    objective = WholeBatchObjective(soft_targets, SETTINGS, student_features={"stages.0": (4, 6, 6)})
    objective.extra.double()
    history = fit(
        student,
        transfer_set,
        training=SETTINGS,
        objective=objective,
        seed=3,
        checkpoint=checkpoint,
        checkpoint_every_s=0.0,
        evaluate=lambda model: float(model(torch.ones(1, 1, 6, 6)).sum()),
        on_step=on_step,
        group=group,
    )
    points = [(point.loss, point.accuracy) for point in history.points]
    state = {**student.state_dict(), **{f"extra.{name}": value for name, value in objective.extra.state_dict().items()}}
    return {"state": state, "points": points}


def struck(text: str, rank: int) -> Callable[[StepInfo], None]:
    """Return what sends this process a signal before a step, or raises an error there, if "RANK:STEP:HOW" means it."""
    whom, step, how = text.split(":") if text else ("", "", "")

    def on_step(info: StepInfo) -> None:
        if str(rank) == whom and str(info.step) == step:
            if how == "error":
                raise ResourceError("disk", found="full")
            os.kill(os.getpid(), signal.Signals[how])

    return on_step


def main() -> None:
    """Label and train; end as the command line would."""
    folder = Path(sys.argv[1])
    try:
        with joined(launch()) as group:
            steps: list[int] = []
            strike = struck(os.environ["KILL"], group.rank)

            def on_step(info: StepInfo) -> None:
                steps.append(info.step)
                strike(info)

            end = train(folder, group, checkpoint=folder / "checkpoint", on_step=on_step)
    except EdgeDistillError as error:
        sys.stderr.write(str(error))
        sys.exit(error.exit_code)
    (folder / f"steps-{group.rank}").write_text(f"{steps[0]} {steps[-1]}", "utf-8")
    torch.save(end, folder / f"end-{group.rank}-of-{group.count}.pt")


if __name__ == "__main__":
    main()
