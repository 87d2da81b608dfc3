"""What `integer_twin.py` compares: quantized programs, and inputs for them."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import zoo
from torch.nn import functional

from edgedistill.calibration.ranges import Form, choose_range
from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.data.sources import load
from edgedistill.progress import SILENT
from edgedistill.quantize.annotate import activation_quantizers, annotate
from edgedistill.quantize.capture import capture
from edgedistill.quantize.convert import convert
from edgedistill.quantize.fake import Mode
from edgedistill.quantize.program import QuantizedProgram, load_program
from edgedistill.quantize.spec import QuantSpec
from edgedistill.quantize.ties import avoid_ties
from edgedistill.recipe import Calibration

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

CALIBRATION, BATCH = 256, 32
PIXEL_MEAN, PIXEL_STD = 0.2860, 0.3530
TOKENS = 32
DOCUMENTED = ("argparse", "asyncio", "collections", "csv", "datetime", "decimal", "email", "functools", "http", "io")
DOCUMENTED += ("itertools", "json", "logging", "math", "os", "pathlib", "random", "re", "shutil", "socket", "sqlite3")
DOCUMENTED += (
    "statistics",
    "subprocess",
    "tarfile",
    "tempfile",
    "threading",
    "typing",
    "unittest",
    "urllib",
    "zipfile",
)


@dataclass(frozen=True)
class Subject:
    """One model.

    Args:
        title: what it is, and where its weights come from.
        program: makes its program, from the demonstration's run directory where it needs that.
        inputs: returns its first so many preprocessed inputs.
        classes: whether its outputs are class scores.
    """

    title: str
    program: Callable[[Path], QuantizedProgram]
    inputs: Callable[[int], NDArray[np.generic]]
    classes: bool = True


def stressed(inputs: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.float32]:
    """Return images shifted by up to a quarter of a side, with noise of a random strength and contrast."""
    rng = np.random.default_rng(seed)
    shifted = np.empty_like(inputs)
    for index, image in enumerate(inputs):
        shifted[index] = np.roll(
            image, tuple(rng.integers(-side // 4, side // 4 + 1) for side in image.shape[1:]), (1, 2)
        )
    strength = rng.uniform(0, 1, (len(inputs), 1, 1, 1))
    contrast = rng.uniform(0.3, 1.7, (len(inputs), 1, 1, 1))
    return (shifted * contrast + strength * rng.normal(size=inputs.shape)).astype(np.float32)


@lru_cache(maxsize=1)
def pixels() -> NDArray[np.float32]:
    """Return the Fashion-MNIST test images (10000, 1, 28, 28), normalised."""
    preprocessing = ImagePreprocessing(size=(28, 28), channels=1, mean=(PIXEL_MEAN,), std=(PIXEL_STD,))
    samples = load(
        "fashion-mnist",
        "test",
        preprocessing=preprocessing,
        classes=(),
        recipe_folder=Path.cwd(),
        progress=SILENT,
    )
    scaled = np.asarray(samples.raw, np.float32).transpose(0, 3, 1, 2) / 255
    return ((scaled - PIXEL_MEAN) / PIXEL_STD).astype(np.float32)


def images(count: int, *, side: int) -> NDArray[np.float32]:
    """Return images (count, 3, side, side): Fashion-MNIST's, scaled up."""
    small = torch.from_numpy(pixels()[:count])
    large = functional.interpolate(small, (side, side), mode="bilinear", align_corners=False)
    return large.expand(-1, 3, -1, -1).contiguous().numpy()


@lru_cache(maxsize=1)
def sentences() -> list[str]:
    """Return sentences of the documentation of Python's standard library, each once, in a fixed order."""
    found: dict[str, None] = {}
    for name in DOCUMENTED:
        for _, value in sorted(vars(importlib.import_module(name)).items()):
            text = inspect.getdoc(value) or ""
            members = vars(value).items() if inspect.isclass(value) else ()
            text += "\n\n".join(inspect.getdoc(item) or "" for _, item in sorted(members, key=lambda pair: pair[0]))
            for sentence in re.split(r"(?<=[.:])\s+|\n\n", text):
                words = " ".join(sentence.split())
                if 5 <= len(words.split()) <= TOKENS:  # noqa: PLR2004 - neither a title nor a paragraph
                    found.setdefault(words)
    return list(found)


def token_ids(count: int) -> NDArray[np.int32]:
    """Return token ids (count, 32), int32, of sentences, padded with 0."""
    transformers = importlib.import_module("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(zoo.pretrained.minilm_folder(), local_files_only=True)
    chosen = sentences()[:count]
    if len(chosen) < count:
        raise SystemExit(f"{len(chosen)} sentences found, {count} wanted")
    encoded = tokenizer(chosen, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="np")
    return encoded["input_ids"].astype(np.int32)


def quantized(model: nn.Module, inputs: NDArray[np.generic]) -> QuantizedProgram:
    """Return the program of a model with the ranges that calibration chooses by default."""
    spec, settings, batches = QuantSpec(), Calibration(), torch.split(torch.from_numpy(inputs), BATCH)
    graph = annotate(capture(model, batches[0][:2]), spec)
    quantizers = activation_quantizers(graph)
    for quantizer in quantizers.values():
        quantizer.mode = Mode.OBSERVE
    with torch.no_grad():
        for batch in batches:
            graph(batch)
    first, last = spec.activation_codes
    for name, quantizer in quantizers.items():
        form = Form(spec.symmetry)
        found = choose_range(quantizer.histogram, settings.method, form=form, codes=last - first + 1, name=name)
        quantizer.set_range(found.low, found.high)
        quantizer.mode = Mode.QUANTIZE
    avoid_ties(graph)
    return convert(graph, spec, batches[0][:2])


def of_run(run: Path) -> QuantizedProgram:
    """Return the program of a finished run with one target."""
    return load_program(next((run / "programs").iterdir()))


def of_zoo(name: str, inputs: Callable[[int], NDArray[np.generic]]) -> Callable[[Path], QuantizedProgram]:
    """Return what makes the program of a model of the zoo."""
    return lambda _: quantized(zoo.model(name), inputs(CALIBRATION))


def cnn(name: str, *, side: int, weights: str) -> Subject:
    """Return a CNN of the zoo over scaled-up images."""
    return Subject(
        f"{name}, {weights} weights, {side}x{side}",
        of_zoo(name, lambda count: images(count, side=side)),
        lambda count: images(count, side=side),
    )


SUBJECTS = {
    "student": Subject("demonstration's student, 28x28", of_run, lambda count: pixels()[:count]),
    "mobilenet_v2": cnn("mobilenet_v2", side=64, weights="random"),
    "resnet18": cnn("resnet18", side=64, weights="random"),
    "efficientnet_lite0": cnn("efficientnet_lite0", side=64, weights="ImageNet"),
    "minilm": Subject(
        f"all-MiniLM-L6-v2, its weights, {TOKENS} tokens", of_zoo("minilm", token_ids), token_ids, classes=False
    ),
}
