"""Pictures of some evaluation samples, their masks and a model's answers, as the report shows them."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.evaluate.segmentation import UNKNOWN, MaskJudge
from edgedistill.run.summary import MaskPicture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedistill.run.context import Context
    from edgedistill.run.steps.answers import Subject

SHOWN = 8
"""Samples in a picture, evenly from those that there are answers for."""
PALETTE = ("#3f444a", "#d9564a", "#4f97d7", "#e8b83a", "#57b573", "#a46ac8", "#e58a3c", "#3fb5b0", "#d87fb0", "#9a9a55")
"""Colours of the classes in turn; the first is most often what is no object."""
NOT_KNOWN = "#ffffff"
LARGEST_BYTES = 4_000_000


def mask_pictures(context: Context, subject: Subject, outputs: NDArray[np.float32]) -> list[dict[str, object]]:
    """Return the picture of outputs (n, classes, height, width); nothing of another task, or of images too large."""
    judge, raw = context.judge, context.test.raw
    if not isinstance(judge, MaskJudge) or raw.dtype != np.uint8 or SHOWN * raw[0].nbytes > LARGEST_BYTES:
        return []
    chosen = np.linspace(0, len(outputs) - 1, min(SHOWN, len(outputs))).round().astype(int)
    images = np.broadcast_to(raw[chosen], (*judge.masks[chosen].shape, 3))
    rows = (images, coloured(judge.masks[chosen]), coloured(judge.answers(outputs[chosen])))
    pixels = np.concatenate([np.concatenate(list(row), axis=1) for row in rows]).astype(np.uint8)
    record = MaskPicture(
        stage=subject.stage,
        target=subject.target,
        execution=subject.execution,
        png=base64.b64encode(png_from_pixels(pixels)).decode(),
        samples=tuple(chosen.tolist()),
        colours=tuple(PALETTE[label % len(PALETTE)] for label in range(len(context.test.classes))),
    )
    return [record.model_dump(mode="json")]


def coloured(masks: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return masks (n, height, width) as pictures (n, height, width, 3), uint8."""
    colours = np.array([_rgb(colour) for colour in (*PALETTE, NOT_KNOWN)], np.uint8)
    places = np.where(masks == UNKNOWN, len(PALETTE), masks % len(PALETTE))
    found: NDArray[np.uint8] = colours[places]
    return found


def png_from_pixels(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG file of pixels (height, width, 3), uint8. Source: W3C PNG (third edition), sections 5 and 11."""
    height, width, _ = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)  # filter 0: none
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue
