"""Loads coremltools, and keeps what it says about itself away from the user. Nothing else here imports it by name."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from typing import TYPE_CHECKING

from edgedistill.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def coremltools() -> ModuleType:
    """Return the module coremltools.

    Raises:
        DependencyError: it is not installed.
    """
    return part("coremltools")


def part(name: str) -> ModuleType:
    """Return a module of coremltools by its full name.

    Raises:
        DependencyError: coremltools is not installed.
    """
    try:
        with quiet():
            return importlib.import_module(name)
    except ImportError as error:
        raise DependencyError(
            "target 'phone-coreml'", found="coremltools cannot be loaded", fix="pip install 'edgedistill[apple]'"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence its progress bars, and warnings that say nothing of the model.

    On Linux it reports at import, eight times, that Apple's runtime is not there; and that no newer torch than 2.7 was
    tested, which our own checks of the saved file make up for.
    """
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
