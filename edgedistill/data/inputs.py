"""Model inputs of raw samples, with the preprocessing that an artifact's manifest holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from edgedistill.data import arrays, sound, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import Inputs, Raw


def model_inputs(raw: Raw, manifest: Mapping[str, object], folder: Path) -> Inputs:
    """Return model inputs of a batch of raw samples, as the artifact's runner computes them.

    Args:
        raw: (n, ...): images, arrays, sounds or texts.
        manifest: JSON form of the preprocessing.
        folder: of the artifact: the files that the preprocessing names are there.

    Raises:
        ValueError: the batch has another dtype or shape than the preprocessing wants, or a file cannot be used.
    """
    if manifest["kind"] == "text":
        return tokens.preprocess(cast("NDArray[np.str_]", raw), manifest, folder)
    if manifest["kind"] == "audio":
        return sound.preprocess(cast("NDArray[np.int16]", raw), manifest)
    return arrays.preprocess(cast("NDArray[np.uint8] | NDArray[np.float32]", raw), manifest)
