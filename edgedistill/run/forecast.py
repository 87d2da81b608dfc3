"""What the teacher's outputs will take on disk, said before any of them is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.data import fashion_mnist, garment_scenes, keywords
from edgedistill.distill import cache_files
from edgedistill.distill.cache_files import OutputShapes, Sizes, predicted_sizes
from edgedistill.progress import SILENT
from edgedistill.recipe import Task
from edgedistill.run.directory import RunDirectory
from edgedistill.run.pipeline import Stage, context_of

if TYPE_CHECKING:
    from edgedistill.run.context import Context
    from edgedistill.run.pipeline import Plan


@dataclass(frozen=True)
class Forecast:
    """The teacher's outputs that a run needs.

    Args:
        samples: of the transfer set.
        views: of each sample that the run looks at.
        found: rows that the cache lists already; their checksums are not looked at.
        sizes: of all rows, in bytes.
        free_bytes: of the disk that holds the cache.
    """

    samples: int
    views: int
    found: int
    sizes: Sizes
    free_bytes: int

    @property
    def text(self) -> str:
        """It in words: "60,000 samples in 4 views, 25 % found; logits 4.8 MB; 51 GB free"."""
        share = f"{self.found / (self.samples * self.views):.0%}".replace("%", " %")
        rows = f"{self.samples:,} samples in {self.views} view{'s' if self.views > 1 else ''}, {share} found"
        return f"{rows}; {self.sizes.text}; {cache_files.bytes_text(self.free_bytes)} free"


def forecast(plan: Plan) -> Forecast | None:
    """Return what the teacher's outputs of a planned run take; None where that is done, or the data are not here yet.

    Reads the data, and loads the teacher where its features or an embedding are to be kept; computes no outputs.

    Raises:
        EdgeDistillError: the data or the teacher cannot be used.
    """
    teach = next((stage for stage in plan.stages if stage.stage is Stage.TEACH), None)
    made_of = {fashion_mnist.NAME: fashion_mnist, garment_scenes.NAME: fashion_mnist, keywords.NAME: keywords}
    files = made_of.get(plan.recipe.data.source)
    missing = files is not None and not files.is_here()
    if teach is None or teach.state == "cached" or missing:
        return None
    context = context_of(plan, RunDirectory(plan.folder), SILENT)
    storage = context.storage
    samples, views = len(context.train), context.views_needed
    home = context.soft_targets_folder / plan.keys.soft_targets(
        context.teacher_train.fingerprint, storage, layers=context.teacher_layers
    )
    wanted = set(cache_files.shards_of(samples=samples, views=views))
    return Forecast(
        samples=samples,
        views=views,
        found=sum(shard.rows for shard in cache_files.listed_shards(home) if shard in wanted),
        sizes=predicted_sizes(_shapes(context), rows=samples * views, storage=storage),
        free_bytes=cache_files.free_bytes(context.soft_targets_folder),
    )


def _shapes(context: Context) -> OutputShapes:
    if not context.teacher_layers and context.recipe.task is not Task.EMBEDDING:
        return OutputShapes(len(context.train.classes), {}, context.train.labels.shape[1:])
    from edgedistill.distill.features import probe_on_data  # noqa: PLC0415 - loads torch

    return probe_on_data(context.teacher, context.teacher_train, context.teacher_layers, role="teacher")
