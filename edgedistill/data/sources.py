"""Where samples come from: the recipe's `data.source`, read, checked and fingerprinted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.data import (
    audio_folder,
    factory,
    fashion_mnist,
    garment_scenes,
    image_folder,
    keywords,
    npz,
    shapes,
    text_file,
)
from edgedistill.data.checks import checked_samples
from edgedistill.data.text_rows import samples_from_rows
from edgedistill.errors import DataError, nearest
from edgedistill.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedistill.data.checks import RawSplit, Split
    from edgedistill.data.preprocessing import (
        AudioPreprocessing,
        ImagePreprocessing,
        NumericPreprocessing,
        Preprocessing,
        TextPreprocessing,
    )
    from edgedistill.data.text_rows import TextRow
    from edgedistill.data.transfer_set import Samples
    from edgedistill.progress import Progress


def load(
    source: str,
    split: Split,
    preprocessing: Preprocessing,
    classes: tuple[str, ...],
    recipe_folder: Path,
    *,
    labelled: bool = True,
    progress: Progress = SILENT,
) -> Samples:
    """Return the checked samples of one split.

    Args:
        source: as the recipe has it: `fashion-mnist`, `garment-scenes`, `shapes`, `keywords`, `image-folder:PATH`,
            `audio-folder:PATH`, `npz:PATH`, `text:PATH` or `python:module:function`.
        split: "train" or "test".
        preprocessing: from raw sample to model input; samples come at its raw shape.
        classes: the recipe's class names in label order; empty takes the source's own.
        recipe_folder: relative paths and modules are looked for here.
        labelled: whether the task needs classes; of a task that does not, only texts can be read.
        progress: where long readings report to.

    Raises:
        DataError: no such source, or its samples cannot be used.
        ResourceError: the samples do not fit into memory or on the disk.
        UnsafeFileError: a file holds pickled objects.
    """
    kind, argument = _parts(source)
    if preprocessing.kind == "text":
        return _texts(kind, source, split, preprocessing, classes, recipe_folder / argument, labelled=labelled)
    if kind.read is None:
        raise DataError(
            f"'{source}'",
            found=f"'data.preprocessing.kind' is {preprocessing.kind}, and the samples are texts",
            fix="set 'data.preprocessing.kind: text'",
        )
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
    preprocessing: NumericPreprocessing
    classes: tuple[str, ...]
    recipe_folder: Path
    progress: Progress

    def require_images(self) -> ImagePreprocessing:
        if self.preprocessing.kind == "image":
            return self.preprocessing
        raise DataError(
            f"'{self.source}'",
            found=f"'data.preprocessing.kind' is {self.preprocessing.kind}, and the samples are images",
            fix="set 'data.preprocessing.kind: image'",
        )

    def require_sounds(self) -> AudioPreprocessing:
        if self.preprocessing.kind == "audio":
            return self.preprocessing
        raise DataError(
            f"'{self.source}'",
            found=f"'data.preprocessing.kind' is {self.preprocessing.kind}, and the samples are sounds",
            fix="set 'data.preprocessing.kind: audio'",
        )


@dataclass(frozen=True)
class _Kind:
    """One kind of source.

    Args:
        form: how it is written.
        fingerprint: of (source, argument, recipe folder).
        read: returns the unchecked split, where the samples are numbers.
        rows: returns the texts of both splits at a path, where the samples are texts.
    """

    form: str
    fingerprint: Callable[[str, str, Path], str]
    read: Callable[[_Request], RawSplit] | None = None
    rows: Callable[[Path], list[TextRow]] | None = None


def _parts(source: str) -> tuple[_Kind, str]:
    name, _, argument = source.partition(":")
    if name not in _KINDS:
        raise DataError(f"data source '{source}'", found="not known", fix=nearest(name, _KINDS))
    kind = _KINDS[name]
    if bool(argument) != (":" in kind.form):
        raise DataError(f"data source '{source}'", found="another form", wanted=f"'{kind.form}'")
    return kind, argument


def _texts(
    kind: _Kind,
    source: str,
    split: Split,
    preprocessing: TextPreprocessing,
    classes: tuple[str, ...],
    path: Path,
    *,
    labelled: bool,
) -> Samples:
    if kind.rows is None:
        raise DataError(
            f"'{source}'", found="its samples are no texts", fix="set 'data.preprocessing.kind' to what they are"
        )
    return samples_from_rows(
        kind.rows(path),
        split,
        source=source,
        fingerprint=kind.fingerprint(source, path.name, path.parent),
        classes=classes,
        max_characters=preprocessing.max_characters,
        labelled=labelled,
    )


def _read_fashion_mnist(request: _Request) -> RawSplit:
    request.require_images()
    return fashion_mnist.read(request.split)


def _read_garment_scenes(request: _Request) -> RawSplit:
    request.require_images()
    return garment_scenes.read(request.split)


def _read_shapes(request: _Request) -> RawSplit:
    request.require_images()
    return shapes.read(request.split)


def _read_keywords(request: _Request) -> RawSplit:
    return keywords.read(request.split, preprocessing=request.require_sounds(), progress=request.progress)


def _read_image_folder(request: _Request) -> RawSplit:
    return image_folder.read(
        request.recipe_folder / request.argument,
        request.split,
        preprocessing=request.require_images(),
        classes=request.classes,
        progress=request.progress,
    )


def _read_audio_folder(request: _Request) -> RawSplit:
    return audio_folder.read(
        request.recipe_folder / request.argument,
        request.split,
        preprocessing=request.require_sounds(),
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
    "fashion-mnist": _Kind("fashion-mnist", lambda *_: fashion_mnist.fingerprint(), _read_fashion_mnist),
    "garment-scenes": _Kind("garment-scenes", lambda *_: garment_scenes.fingerprint(), _read_garment_scenes),
    "shapes": _Kind("shapes", lambda *_: shapes.fingerprint(), _read_shapes),
    "keywords": _Kind("keywords", lambda *_: keywords.fingerprint(), _read_keywords),
    "image-folder": _Kind(
        "image-folder:PATH",
        lambda _, argument, folder: image_folder.fingerprint(folder / argument),
        _read_image_folder,
    ),
    "audio-folder": _Kind(
        "audio-folder:PATH",
        lambda _, argument, folder: audio_folder.fingerprint(folder / argument),
        _read_audio_folder,
    ),
    "npz": _Kind("npz:PATH", lambda _, argument, folder: npz.fingerprint(folder / argument), _read_npz),
    "text": _Kind(
        "text:PATH", lambda _, argument, folder: text_file.fingerprint(folder / argument), rows=text_file.read
    ),
    "python": _Kind(
        "python:module:function",
        lambda source, _, folder: factory.fingerprint(source, recipe_folder=folder),
        _read_factory,
    ),
}
