"""Which variations each kind of sample has: what a recipe asks for beyond them is refused, never ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from edgedistill.errors import DataError

if TYPE_CHECKING:
    from edgedistill.recipe import Views

    Kind = Literal["image", "array", "text", "audio"]

PLURALS = {"image": "images", "array": "arrays", "text": "texts", "audio": "sounds"}

KINDS_WITH: dict[str, tuple[Kind, ...]] = {
    "flip": ("image",),
    "shift": ("image",),
    "crop": ("image",),
    "mixup": ("image", "array", "audio"),
    "noise": ("array",),
    "gain": ("array",),
    "drop_words": ("text",),
    "audio": ("audio",),
}
"""Kinds of samples that have a variation, by its name in `data.views`."""


def refuse_other_views(kind: Kind, views: Views) -> None:
    """Check that samples of a kind have every variation that is asked for.

    Raises:
        DataError: one is asked for that they do not have.
    """
    default = type(views)()
    for name, kinds in KINDS_WITH.items():
        if kind in kinds or getattr(views, name) == getattr(default, name):
            continue
        own = ", ".join(f"`data.views.{other}`" for other, having in KINDS_WITH.items() if kind in having)
        or_images = ", or set 'data.preprocessing.kind: image'" if (kind, kinds) == ("array", ("image",)) else ""
        raise DataError(
            f"'data.views.{name}'",
            found=f"the samples are {PLURALS[kind]}",
            wanted=" or ".join(PLURALS[each] for each in kinds),
            fix=f"remove '{name}'{or_images}; {PLURALS[kind]} have {own}",
        )
