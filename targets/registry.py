"""Finds targets through the entry-point group `edgedistill.targets`: ours and other people's alike."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, cast

from edgedistill.errors import UnsupportedError, nearest

if TYPE_CHECKING:
    from edgedistill.targets.base import Target

GROUP = "edgedistill.targets"


def target_names() -> tuple[str, ...]:
    """Return the names of the installed targets, sorted; loads none."""
    return tuple(sorted(_installed()))


def target_named(name: str) -> Target:
    """Return one target.

    Raises:
        UnsupportedError: no installed target has this name.
    """
    installed = _installed()
    if name not in installed:
        raise UnsupportedError(f"target '{name}'", found="not installed", fix=nearest(name, installed))
    return cast("Target", installed[name].load()())


def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
