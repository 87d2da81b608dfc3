"""Recorded predictions as a numpy archive that a recipe reads: `data.source: npz:PATH`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.capture.completion import Kind, prompt_hash
from edgedistill.capture.splits import part_of
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.capture.completion import Completion

SHARES = {"train": 0.8, "test": 0.2}
INPUT, OUTPUT = "input", "output"


def write_npz(path: Path, completions: Iterable[Completion], *, array_of: Callable[[str], NDArray[np.generic]]) -> int:
    """Write predictions with one input and one output; return how many.

    Arrays: `x` the inputs, `y` the classes with the greatest output (int64), `output` the outputs (float32), `split`
    "train" or "test" by the hash of the input, so that equal inputs are on one side.

    Raises:
        DataError: there is none, the shapes differ, or the outputs are no vectors.
    """
    thing = "predictions"
    chosen = [
        completion
        for completion in completions
        if completion.kind is Kind.PREDICTION and {INPUT, OUTPUT} <= completion.arrays.keys()
    ]
    if not chosen:
        wanted = "completions of kind prediction with arrays 'input' and 'output'"
        raise DataError(thing, found="none", wanted=wanted)
    inputs = [array_of(completion.arrays[INPUT]) for completion in chosen]
    outputs = [np.asarray(array_of(completion.arrays[OUTPUT]), np.float32) for completion in chosen]
    for name, arrays in ((INPUT, inputs), (OUTPUT, outputs)):
        shapes = sorted({array.shape for array in arrays}, key=str)
        if len(shapes) > 1:
            found = f"shapes {shapes[:5]} of '{name}'"
            raise DataError(thing, found=found, wanted="one shape", fix="choose by --where")
    if outputs[0].ndim != 1:
        raise DataError(thing, found=f"outputs {outputs[0].shape}", wanted="(classes,)")
    output = np.stack(outputs)
    split = np.array([part_of(prompt_hash(completion), SHARES) for completion in chosen])
    np.savez_compressed(path, x=np.stack(inputs), y=output.argmax(axis=1), output=output, split=split)
    return len(chosen)
