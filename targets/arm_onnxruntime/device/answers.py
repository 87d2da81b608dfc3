"""What a model's outputs mean: classes, embeddings, masks, and whether golden ones are right.

Needs Python 3.8 or newer and numpy. It stands in the artifact's folder beside runner.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Document = dict[str, object]

ROUNDING_STEPS = 1e-3  # outputs are float32, so that one step may read as a little more than one


class WrongOutputsError(Exception):
    """Golden outputs are others than the manifest allows."""


def compared(outputs: NDArray[np.float32], expected: NDArray[np.float32], document: Mapping[str, Any]) -> Document:
    """Return how far the golden outputs agree.

    Raises:
        WrongOutputsError: further apart than the manifest allows, or another class.
    """
    if outputs.shape != expected.shape:
        raise WrongOutputsError(f"golden outputs have shape {outputs.shape}; they were built with {expected.shape}")
    allowed = float(document["golden"]["max_steps"])
    difference = np.abs(outputs.astype(np.float64) - expected.astype(np.float64)) / float(document["output"]["step"])
    largest = float(difference.max()) if np.isfinite(difference).all() else float("inf")
    if largest > allowed + ROUNDING_STEPS:
        raise WrongOutputsError(f"golden outputs differ by up to {largest:.2f} output steps; {allowed:g} are allowed")
    changed = int((outputs.argmax(1) != expected.argmax(1)).sum())
    if changed and document["classes"]:  # the largest number of an embedding means nothing
        what = "samples are" if expected.ndim == 2 else "samples' pixels are"  # noqa: PLR2004 - samples and classes
        raise WrongOutputsError(f"{changed} of {expected[:, 0].size} golden {what} given another class")
    identical = float((outputs == expected).mean())
    return {"n": len(outputs), "largest_steps": largest, "max_steps": allowed, "identical_outputs": identical}


def named(outputs: NDArray[np.float32], names: Sequence[str]) -> Document:
    """Return the class of each sample (n, classes), or its embedding where the model has no classes."""
    if not names:
        return {"n": len(outputs), "embeddings": [[float(value) for value in row] for row in outputs]}
    predictions = [
        {"class": names[int(row.argmax())], "index": int(row.argmax()), "output": float(row.max())} for row in outputs
    ]
    return {"n": len(predictions), "predictions": predictions}


def counted(masks: NDArray[np.int64], names: Sequence[str]) -> Document:
    """Return how many pixels of each sample (n, height, width) have which class."""
    counts = [np.bincount(mask.reshape(-1), minlength=len(names)).tolist() for mask in masks]
    found = [{name: count for name, count in zip(names, row) if count} for row in counts]  # noqa: B905 - Python 3.8 has no strict
    return {"n": len(masks), "pixels": found}
