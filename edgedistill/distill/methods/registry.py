"""Finds methods: those built in, and those of other packages in the entry-point group `edgedistill.losses`."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from edgedistill.distill.methods.base import Method, Options
from edgedistill.errors import DependencyError, RecipeError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

GROUP = "edgedistill.losses"
BUILT_IN = {
    "attention": "edgedistill.distill.methods.encoders:ATTENTION",
    "attention-transfer": "edgedistill.distill.methods.features:ATTENTION_TRANSFER",
    "crd": "edgedistill.distill.methods.features:CRD",
    "cwd": "edgedistill.distill.methods.features:CWD",
    "dist": "edgedistill.distill.methods.logits:DIST",
    "dkd": "edgedistill.distill.methods.logits:DKD",
    "embedding": "edgedistill.distill.methods.features:EMBEDDING",
    "fitnets": "edgedistill.distill.methods.features:FITNETS",
    "hidden-states": "edgedistill.distill.methods.encoders:HIDDEN_STATES",
    "kd++": "edgedistill.distill.methods.embeddings:NORM_DIRECTION",
    "mgd": "edgedistill.distill.methods.features:MGD",
    "minilm": "edgedistill.distill.methods.encoders:MINILM",
    "multi-temperature": "edgedistill.distill.methods.logits:MULTI_TEMPERATURE",
    "nkd": "edgedistill.distill.methods.logits:NKD",
    "ofa": "edgedistill.distill.methods.features:OFA",
    "review": "edgedistill.distill.methods.features:REVIEW",
    "rkd": "edgedistill.distill.methods.features:RKD",
    "similarity-preserving": "edgedistill.distill.methods.features:SIMILARITY",
    "simkd": "edgedistill.distill.methods.features:SIMKD",
    "vid": "edgedistill.distill.methods.features:VID",
    "wttm": "edgedistill.distill.methods.logits:WTTM",
}
"""The project's own methods, written as an entry point is: module and object."""


def method_names() -> tuple[str, ...]:
    """Return the names of all methods, sorted; loads none."""
    return tuple(sorted(_installed()))


def method_named(name: str) -> Method[Options]:
    """Return one method.

    Raises:
        RecipeError: there is none of this name, or two packages bring one each.
        DependencyError: the package that brings it fails, or brings something else.
    """
    installed = _installed()
    if name not in installed:
        raise RecipeError(f"loss '{name}'", found="no such method", fix=nearest(name, installed))
    entries = installed[name]
    if len(entries) > 1:
        owners = ", ".join(_owner(entry) for entry in entries)
        raise RecipeError(f"loss '{name}'", found=f"brought by {owners}", wanted="one", fix="uninstall the others")
    return _loaded(name, entries[0])


def _loaded(name: str, entry: EntryPoint) -> Method[Options]:
    wanted = "an edgedistill.distill.methods.base.Method of this name"
    fix = f"update or uninstall {_owner(entry)}"
    try:
        found: object = entry.load()
    except (Exception, SystemExit) as error:  # whatever another package raises while it is imported
        told = f"{_owner(entry)} fails to load '{entry.value}': {type(error).__name__}: {error}"
        raise DependencyError(f"loss '{name}'", found=told, fix=fix) from error
    if not isinstance(found, Method):
        told = f"{_owner(entry)} brings a {type(found).__name__} ('{entry.value}')"
        raise DependencyError(f"loss '{name}'", found=told, wanted=wanted, fix=fix)
    if found.name != name:
        told = f"{_owner(entry)} calls it '{found.name}' ('{entry.value}')"
        raise DependencyError(f"loss '{name}'", found=told, wanted=wanted, fix=fix)
    return found


def _installed() -> dict[str, list[EntryPoint]]:
    """Return the entry points of each name: of one package, installed twice on the path, one."""
    found: dict[str, list[EntryPoint]] = {}
    own = (EntryPoint(name, value, GROUP) for name, value in BUILT_IN.items())
    for entry in (*own, *_once(entry_points(group=GROUP))):
        found.setdefault(entry.name, []).append(entry)
    return found


def _once(entries: Iterable[EntryPoint]) -> Iterable[EntryPoint]:
    return {(entry.name, entry.value): entry for entry in entries}.values()


def _owner(entry: EntryPoint) -> str:
    """Return the package that an entry point came with: "package 'their-losses' 1.0"."""
    if entry.dist is None:
        return "edgedistill"
    return f"package '{entry.dist.name}' {entry.dist.version}"
