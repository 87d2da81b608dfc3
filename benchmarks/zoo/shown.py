"""What the models of the zoo are shown when they are quantized and compared: real inputs where there are weights."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

import zoo
from edgedistill.evaluate.judges import nearest_neighbours
from edgedistill.evaluate.parity import largest_output, parity
from edgedistill.quantize.annotate import annotate
from edgedistill.quantize.calibrate import GivenBatches, calibrate
from edgedistill.quantize.capture import capture
from edgedistill.quantize.convert import convert
from edgedistill.recipe import Calibration
from zoo.photographs import SEEN, UNSEEN, normalised_crops

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.quantize.spec import QuantSpec

CALIBRATION, BATCH = 128, 16
SMALLEST = 0.3
IMAGE_AXES = 4


@dataclass(frozen=True)
class Shown:
    """Inputs of one model.

    Args:
        seen: for calibration.
        unseen: for evaluation; no input of `seen` is among them.
        title: what they are.
        embedding: whether the model's outputs are embeddings, whose answer is the nearest neighbour.
    """

    seen: Tensor
    unseen: Tensor
    title: str
    embedding: bool = False


def shown(name: str, count: int, *, weights: Path | None = None, archive: Path | None = None) -> Shown:
    """Return inputs for a model of the zoo.

    Args:
        name: in `zoo.ZOO`.
        count: for evaluation.
        weights: folder of the weights that the model was given, if any.
        archive: vaderSentiment-3.3.2.tar.gz, for the sentence encoder.
    """
    entry = zoo.ZOO[name]
    if entry.tokens and archive is not None:
        tokens = tweets(CALIBRATION + count, archive, seed=1)
        title = f"{count} tweets, none of them among the {CALIBRATION} for calibration"
        return Shown(tokens[:CALIBRATION], tokens[CALIBRATION:], title, embedding=True)
    if entry.weights == "ImageNet" or weights is not None:
        seen = normalised_crops(SEEN, CALIBRATION, seed=1, smallest=SMALLEST)
        unseen = normalised_crops(UNSEEN, count, seed=2, smallest=SMALLEST)
        title = f"{count} crops of {len(UNSEEN)} photographs, none of them among the {len(SEEN)} for calibration"
        return Shown(seen, unseen, title)
    seen, unseen = (_noise(name, size, seed=seed) for size, seed in ((CALIBRATION, 1), (count, 2)))
    return Shown(seen, unseen, "random token ids" if entry.tokens else "smoothed noise", embedding=bool(entry.tokens))


def _noise(name: str, count: int, *, seed: int) -> Tensor:
    noise = zoo.inputs(name, count, seed=seed)
    if zoo.ZOO[name].tokens:
        return noise.to(torch.int32)
    return 3 * functional.avg_pool2d(noise, 5, 1, 2) if noise.ndim == IMAGE_AXES else noise


def tweets(count: int, archive: Path, *, seed: int) -> Tensor:
    """Return (count, 128) token ids of human-written tweets, no tweet twice."""
    from tokenizers import Tokenizer  # noqa: PLC0415 - only this model needs it

    from zoo.pretrained import minilm_folder  # noqa: PLC0415 - as above

    with tarfile.open(archive) as outer:
        inner_name = next(name for name in outer.getnames() if name.endswith("hutto_ICWSM_2014.tar.gz"))
        inner = outer.extractfile(inner_name)
        with tarfile.open(fileobj=inner) as texts:
            name = next(name for name in texts.getnames() if name.endswith("tweets_GroundTruth.txt"))
            found = texts.extractfile(name)
            lines = found.read().decode("utf-8", "replace").splitlines() if found else []
    sentences = [line.split("\t")[2] for line in lines if line.count("\t") >= 2]  # noqa: PLR2004 - id, score, text
    chosen = np.random.default_rng(seed).permutation(len(sentences))[:count]
    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding(length=128)
    return torch.tensor([tokenizer.encode(sentences[index]).ids for index in chosen], dtype=torch.int32)


def calibrated_program(module: nn.Module, seen: Tensor, spec: QuantSpec) -> QuantizedProgram:
    """Return a model's program with the ranges of least squared error, as recipes choose them."""
    graph = annotate(capture(module, seen[:2]), spec)
    calibrate(graph, GivenBatches(seen.split(BATCH), Calibration(max_drift=100)))
    return convert(graph, spec, seen[:2])


def in_float(module: nn.Module, inputs: Tensor) -> NDArray[np.float32]:
    """Return a model's own outputs."""
    with torch.inference_mode():
        found: NDArray[np.float32] = torch.cat([module(part) for part in inputs.split(BATCH)]).numpy()
    return found


def agreement(
    reference: NDArray[np.float32], other: NDArray[np.float32], *, embedding: bool = False
) -> dict[str, float | None]:
    """Return how far outputs agree with a reference: answers, output steps, signal to noise, cosine.

    Args:
        reference: (n, ...).
        other: the same shape.
        embedding: the same answer is the same nearest neighbour, not the same largest output.
    """
    flat, compared = (item.reshape(len(item), -1) for item in (reference, other))
    found = parity(flat, compared, max_steps=1.0, answers=nearest_neighbours if embedding else largest_output)
    noise = float(((flat - compared).astype(np.float64) ** 2).sum())
    cosine = functional.cosine_similarity(torch.from_numpy(flat), torch.from_numpy(compared))
    return {
        "nearest_neighbour_agreement" if embedding else "top1_agreement": found.top1_agreement,
        "within_one_step": found.within_steps,
        "within_four_steps": parity(flat, compared, max_steps=4.0).within_steps,
        "largest_steps": found.largest_steps,
        "identical_outputs": found.identical_outputs,
        "sqnr_db": 10 * float(np.log10((flat.astype(np.float64) ** 2).sum() / noise)) if noise else None,
        "cosine": float(cosine.mean()),
    }
