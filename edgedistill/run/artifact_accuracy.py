"""Accuracy of a built artifact on any samples, in the runtime of this workstation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.inputs import model_inputs
from edgedistill.data.masks import are_masks
from edgedistill.errors import UnsupportedError
from edgedistill.evaluate.executor import Execution
from edgedistill.evaluate.judges import ClassJudge
from edgedistill.evaluate.segmentation import MaskJudge
from edgedistill.run.steps.rungs import rung
from edgedistill.targets.folder import model_bytes, open_artifact
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.data.transfer_set import Samples
    from edgedistill.evaluate.judges import Judge
    from edgedistill.run.summary import Rung

CHUNK = 1000


def accuracy_of_artifact(folder: Path, samples: Samples) -> Rung:
    """Return the accuracy of an artifact, with the preprocessing that it carries.

    Args:
        folder: of the artifact; every file is checked against its manifest first.
        samples: raw samples at the artifact's raw shape, and their labels.

    Raises:
        UnsafeFileError: a file is not the one that was built.
        UnsupportedError: its target has no executor on this workstation.
    """
    artifact, manifest = open_artifact(folder)
    task = manifest.get("task", "classification")
    if task not in ("classification", "segmentation"):
        raise UnsupportedError(
            f"artifact '{folder}'",
            found=f"its task is {task}",
            wanted="a task with labels: embeddings are measured against their teacher, in a run",
        )
    executors = target_named(artifact.target).executors(artifact)
    here = [item for item in executors if item.execution in (Execution.HOST, Execution.INTERPRETED)]
    executor = next(iter(sorted(here, key=lambda item: item.execution is not Execution.HOST)), None)
    if executor is None:
        raise UnsupportedError(f"artifact '{folder}'", found=f"target '{artifact.target}' runs on its device only")
    parts = [
        executor.run(model_inputs(samples.raw[start : start + CHUNK], manifest["preprocessing"], folder))
        for start in range(0, len(samples), CHUNK)
    ]
    size = model_bytes(artifact)
    title = f"{artifact.target}/{artifact.profile}"
    judge = _judge(samples)
    return rung("artifact", executor, np.concatenate(parts), judge, target=title, size_bytes=size)


def _judge(samples: Samples) -> Judge:
    if are_masks(samples.labels):
        return MaskJudge(samples.labels)
    return ClassJudge(samples.labels, "accuracy" if samples.gold else "agreement with the teacher")
