"""Where samples come from: the recipe's `data.source`, read, checked and fingerprinted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.data import factory, fashion_mnist, image_folder, npz, shapes
from edgedistill.data.checks import checked_samples
from edgedistill.errors import DataError, nearest
from edgedistill.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedistill.data.checks import RawSplit, Split
    from edgedistill.data.preprocessing import ImagePreprocessing, Preprocessing
    from edgedistill.data.transfer_set import Samples
    from edgedistill.progress import Progress


def load(
    source: str,
    split: Split,
    preprocessing: Preprocessing,
    classes: tuple[str, ...],
    recipe_folder: Path,
    *,
    progress: Progress = SILENT,
) -> Samples:
    """Return the checked samples of one split.

    Args:
        source: as the recipe has it: `fashion-mnist`, `shapes`, `image-folder:PATH`, `npz:PATH` or
            `python:module:function`.
        split: "train" or "test".
        preprocessing: from raw sample to model input; samples come at its raw shape.
        classes: the recipe's class names in label order; empty takes the source's own.
        recipe_folder: relative paths and modules are looked for here.
        progress: where long readings report to.

    Raises:
        DataError: no such source, or its samples cannot be used.
        ResourceError: the samples do not fit into memory or on the disk.
        UnsafeFileError: a file holds pickled objects.
    """
    kind, argument = _parts(source)
    request = _Request(source, argument, split, preprocessing, classes, recipe_folder, progress)
    return checked_samples(kind.read(request), source=source, split=split, preprocessing=preprocessing, classes=classes)


def fingerprint(source: str, recipe_folder: Path) -> str:
    """Return the sha256 of what a source is read from; loads no torch and runs no code of the user's.

    Of a `python:` source only the module's file counts: what it reads or imports is not covered.

    Raises:
        DataError: no such source, or its files cannot be read.
    """
    kind, argument = _parts(source)
    return kind.fingerprint(source, argument, recipe_folder)


@dataclass(frozen=True)
class _Request:
    """The arguments of `load`, with the part of the source behind its kind."""

    source: str
    argument: str
    split: Split
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    recipe_folder: Path
    progress: Progress

    def require_images(self) -> ImagePreprocessing:
        if self.preprocessing.kind == "image":
            return self.preprocessing
        raise DataError(
            f"'{self.source}'",
            found="'data.preprocessing.kind' is array, and the samples are images",
            fix="set 'data.preprocessing.kind: image'",
        )


@dataclass(frozen=True)
class _Kind:
    """One kind of source.

    Args:
        form: how it is written.
        read: returns the unchecked split.
        fingerprint: of (source, argument, recipe folder).
    """

    form: str
    read: Callable[[_Request], RawSplit]
    fingerprint: Callable[[str, str, Path], str]


def _parts(source: str) -> tuple[_Kind, str]:
    name, _, argument = source.partition(":")
    if name not in _KINDS:
        raise DataError(f"data source '{source}'", found="not known", fix=nearest(name, _KINDS))
    kind = _KINDS[name]
    if bool(argument) != (":" in kind.form):
        raise DataError(f"data source '{source}'", found="another form", wanted=f"'{kind.form}'")
    return kind, argument


def _read_fashion_mnist(request: _Request) -> RawSplit:
    request.require_images()
    return fashion_mnist.read(request.split)


def _read_shapes(request: _Request) -> RawSplit:
    request.require_images()
    return shapes.read(request.split)


def _read_image_folder(request: _Request) -> RawSplit:
    return image_folder.read(
        request.recipe_folder / request.argument,
        request.split,
        preprocessing=request.require_images(),
        classes=request.classes,
        progress=request.progress,
    )


def _read_npz(request: _Request) -> RawSplit:
    path = request.recipe_folder / request.argument
    return npz.read(path, request.split, classes=request.classes)


def _read_factory(request: _Request) -> RawSplit:
    return factory.read(
        request.source,
        request.split,
        preprocessing=request.preprocessing,
        classes=request.classes,
        recipe_folder=request.recipe_folder,
        progress=request.progress,
    )


_KINDS = {
    "fashion-mnist": _Kind("fashion-mnist", _read_fashion_mnist, lambda *_: fashion_mnist.fingerprint()),
    "shapes": _Kind("shapes", _read_shapes, lambda *_: shapes.fingerprint()),
    "image-folder": _Kind(
        "image-folder:PATH",
        _read_image_folder,
        lambda _, argument, folder: image_folder.fingerprint(folder / argument),
    ),
    "npz": _Kind("npz:PATH", _read_npz, lambda _, argument, folder: npz.fingerprint(folder / argument)),
    "python": _Kind(
        "python:module:function",
        _read_factory,
        lambda source, _, folder: factory.fingerprint(source, recipe_folder=folder),
    ),
}
