"""From a PyTorch teacher to a verified INT8 artifact on the device in the user's hand, by one recipe.

    import edgedistill

    summary = edgedistill.run("recipe.yaml")

The functions below are what the command line calls; importing this package loads no torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from edgedistill.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedistill.api import benchmark, build, distill, execute, plan, quantize, run, verify
    from edgedistill.distill.history import Callback
    from edgedistill.progress import Progress
    from edgedistill.run.summary import Summary

# ONNX Runtime sends usage data from version 1.29 on unless this is set before it is imported; nothing here phones home
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "benchmark",
    "build",
    "distill",
    "execute",
    "plan",
    "quantize",
    "run",
    "verify",
]


class _CallablePackage(ModuleType):
    """A subpackage that is also the function of its name.

    `edgedistill.run` names both, and the import system binds the subpackage over any function as soon as
    something below it is imported. So the subpackage itself takes the call.
    """

    def __call__(
        self,
        recipe: Path | str,
        *,
        folder: Path | str | None = None,
        overrides: Sequence[str] = (),
        callbacks: Sequence[Callback] = (),
        progress: Progress = SILENT,
    ) -> Summary:
        verb = getattr(import_module("edgedistill.api"), self.__name__.rpartition(".")[2])
        return verb(recipe, folder=folder, overrides=overrides, callbacks=callbacks, progress=progress)  # type: ignore[no-any-return]


for _name in ("distill", "quantize", "run"):
    import_module(f"{__name__}.{_name}").__class__ = _CallablePackage


def __getattr__(name: str) -> object:
    """Load a function of the interface when it is first used (PEP 562)."""
    if name in __all__:
        return getattr(import_module("edgedistill.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
