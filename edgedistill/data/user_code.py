"""Finds functions that a recipe names as `module:function`, beside the recipe or installed.

Looking a module up for its fingerprint runs none of its code. Calling a function runs it: a recipe that names
one is trusted as far as the program it names.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec

    from edgedistill.errors import InputError


@dataclass(frozen=True)
class UserFunction:
    """A function of the user's, found but not imported.

    Args:
        source: as the recipe has it: "python:my_data:flowers".
        module: dotted name of the module.
        function: name of the function.
        file: the module's source file.
        folder: the folder that has to be importable for it, where it is beside the recipe.
        error: class of the errors about it.
    """

    source: str
    module: str
    function: str
    file: Path
    folder: Path | None
    error: type[InputError]

    @property
    def fingerprint(self) -> str:
        """Sha256 of the module's source and the function's name. What it imports is not covered."""
        digest = hashlib.sha256(self.file.read_bytes())
        digest.update(self.function.encode())
        return digest.hexdigest()

    def load(self) -> Callable[..., object]:
        """Import the module and return the function.

        Raises:
            InputError: of class `error`: the import fails, or the module has no such function.
        """
        module = self._imported()
        function = getattr(module, self.function, None)
        if callable(function):
            return function  # type: ignore[no-any-return]  # what it returns is checked by whoever calls it
        names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise self.error(
            f"'{self.source}'",
            found=f"module '{self.module}' has no function '{self.function}'",
            fix=nearest(self.function, names),
        )

    def _imported(self) -> object:
        loaded = sys.modules.get(self.module)
        if loaded is not None and not _same_file(getattr(loaded, "__file__", None), self.file):
            del sys.modules[self.module]  # a module of the same name beside another recipe
        if self.folder is not None:
            sys.path.insert(0, str(self.folder))
        try:
            return importlib.import_module(self.module)
        except Exception as error:
            raise self.error(
                f"'{self.source}'", found=f"importing '{self.file}' fails: {type(error).__name__}: {error}"
            ) from error
        finally:
            if self.folder is not None:
                sys.path.remove(str(self.folder))


def user_function(source: str, recipe_folder: Path, *, error: type[InputError]) -> UserFunction:
    """Return the function of a `python:module:function` source, without importing anything.

    Args:
        source: as the recipe has it.
        recipe_folder: searched first.
        error: class of the errors that are raised, here and later.

    Raises:
        InputError: of class `error`: the form is another, there is no such module, or there are two.
    """
    prefix, _, rest = source.partition(":")
    module, _, function = rest.partition(":")
    names = module.split(".")
    if prefix != "python" or not all(name.isidentifier() for name in (*names, function)):
        raise error(f"'{source}'", found="another form", wanted="python:module:function")
    beside = _found(names, [str(recipe_folder)])
    installed = _found(names, [path for path in sys.path if path])
    if beside and installed and not _same_file(beside.origin, installed.origin):
        raise error(
            f"'{source}'",
            found=f"two modules '{module}': '{beside.origin}' and '{installed.origin}'",
            fix="rename the one beside the recipe",
        )
    spec = beside or installed
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        files = [path.stem for path in sorted(recipe_folder.glob("*.py"))]
        raise error(
            f"'{source}'",
            found=f"no Python source of a module '{module}' in '{recipe_folder}' or installed",
            fix=f"of the recipe's folder: {nearest(module, files)}",
        )
    folder = recipe_folder if beside else None
    return UserFunction(source, module, function, Path(spec.origin), folder, error)


def _found(names: Sequence[str], path: Sequence[str]) -> ModuleSpec | None:
    """Return the spec of a dotted module; `importlib.util.find_spec` would import its parent packages."""
    spec: ModuleSpec | None = None
    for depth in range(len(names)):
        spec = PathFinder.find_spec(".".join(names[: depth + 1]), path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or [])
    return spec


def _same_file(one: str | None, other: str | Path | None) -> bool:
    return one is not None and other is not None and Path(one).resolve() == Path(other).resolve()
