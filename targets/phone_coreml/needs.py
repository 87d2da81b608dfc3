"""The packages that this target needs, and what of them is missing here. Loads none of them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from edgedistill.targets.base import Issue, Severity

CONVERTER = "coremltools"
CORE_AI = {"coreai-core": "1.0.0b3", "coreai-torch": "0.4.3"}
"""Packages of Core AI, a beta: the one version of each that was tried."""


def lacking(*, core_ai: bool) -> list[Issue]:
    """Return what is missing: coremltools, without which nothing is built; Core AI, where it is asked for."""
    found = []
    if find_spec(CONVERTER) is None:
        said, fix = "coremltools is not installed", "pip install 'edgedistill[apple]'"
        found.append(Issue("needs", CONVERTER, Severity.ERROR, said, fix))
    reason = core_ai_missing() if core_ai else None
    if reason is not None:
        said, _, fix = reason.partition(": ")
        found.append(Issue("needs", "Core AI", Severity.NOTE, f"{said}, so there will be no second form", fix))
    return found


def core_ai_missing() -> str | None:
    """Return what stands in the way of Core AI here, none where nothing does."""
    for package, wanted in CORE_AI.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            return f"{package} is not installed: pip install 'edgedistill[coreai]'"
        if found != wanted:
            return f"{package} {found} is not the version that was tried, {wanted}: pip install 'edgedistill[coreai]'"
    return None
