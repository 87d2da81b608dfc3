"""Dependencies point one way: cli -> run -> method -> data, models, calibration -> errors. This table is the rule."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGE_FOLDERS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-dir"]

# What everything may import: it imports nothing of ours itself (the recipe: only the preprocessing, below it).
BOTTOM = ("errors", "progress", "cache", "durable", "launcher", "recipe")

# What each room may import besides itself and the bottom. A longer name stands for a part of a room and wins over it.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "errors": (),
    "progress": (),
    "cache": (),
    "durable": ("errors",),
    "launcher": ("errors",),
    "recipe.file": ("errors",),
    "recipe.problems": ("errors", "recipe.file"),
    "recipe": ("errors", "data.preprocessing"),
    "data.preprocessing": (),
    "calibration": (),
    "data": (),
    "capture": ("data", "report"),
    "models": ("data",),
    "distill": ("data", "models"),
    "quantize": ("calibration", "data", "distill.history", "distill.objective", "distill.training"),
    "quantize.spec": (),
    "export": ("quantize",),
    "evaluate.executor": (),
    "evaluate.record": (),
    "evaluate": ("data", "quantize", "export"),
    "devices": ("evaluate.executor",),
    "bench": ("devices", "evaluate.executor", "evaluate.record"),
    "run.summary": ("bench.latency", "evaluate.executor", "evaluate.record"),
    "report": ("bench", "evaluate.executor", "run.summary"),
    "targets": ("data", "devices", "evaluate", "export", "quantize"),
    "run": (
        "bench",
        "calibration",
        "capture",
        "data",
        "devices",
        "distill",
        "evaluate",
        "export",
        "models",
        "quantize",
        "report",
        "targets",
    ),
    "doctor": ("devices",),
    "starter": ("models.origins", "targets"),
    "api": ("run", "distill.history"),
    "": ("api", "distill.history", "run.summary"),
    "cli": (
        "",
        "bench",
        "capture",
        "data",
        "devices",
        "distill.methods",
        "doctor",
        "evaluate",
        "report",
        "run",
        "starter",
        "targets",
    ),
    "__main__": ("cli",),
}

# Closed against everything, the bottom too: what lies under all else, or runs without the rest of the package.
CLOSED = (
    "errors",
    "progress",
    "cache",
    "durable",
    "launcher",
    "recipe.file",
    "recipe.problems",
    "data.preprocessing",
    "quantize.spec",
)

# Packages of hardware vendors, and the only folder that may import each.
VENDOR_PACKAGES = {
    "coremltools": "targets.phone_coreml",
    "tensorrt": "targets.jetson_tensorrt",
    "tensorrt_rtx": "targets.jetson_tensorrt",
}

# The only module that may import what trackers are driven by.
TRACKING_PACKAGES = {"accelerate": "run.tracking"}


class Import(NamedTuple):
    """One import, wherever it stands: at the top, in a function, for type checkers."""

    module: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.imported}"


def modules() -> dict[str, Path]:
    """Return the file of each of our modules, named without the leading `edgedistill.`."""
    found = {}
    for package, folder in PACKAGE_FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = [*package.split("."), *path.relative_to(ROOT / folder).with_suffix("").parts]
            found[short(".".join(part for part in parts if part != "__init__"))] = path
    return found


def short(name: str) -> str:
    return name.removeprefix("edgedistill").removeprefix(".")


MODULES = modules()


def imports_of(module: str) -> Iterator[Import]:
    """Yield what a module imports: ours in short names, others' as they are with a leading `!`."""
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} is a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(module, _resolved(name), node.lineno)


def _resolved(name: str) -> str:
    if not within(name, "edgedistill"):
        return f"!{name}"
    name = short(name)
    return name if name in MODULES else name.rpartition(".")[0]  # `from module import function`


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.") if room else module == ""


def rule_of(module: str) -> str:
    """Return the longest name in the table that the module lies within."""
    return max((room for room in MAY_IMPORT if within(module, room)), key=len)


def is_allowed(item: Import) -> bool:
    rule = rule_of(item.module)
    bottom = () if rule in CLOSED else BOTTOM
    home = item.module.split(".")[0] if rule not in CLOSED else rule
    return any(within(item.imported, room) for room in (*MAY_IMPORT[rule], *bottom, home))


ALL_IMPORTS = [item for module in MODULES for item in imports_of(module)]
OURS = [item for item in ALL_IMPORTS if not item.imported.startswith("!")]


def test_every_module_has_a_rule() -> None:
    assert [module for module in MODULES if not any(within(module, room) for room in MAY_IMPORT)] == []


def test_dependencies_point_one_way() -> None:
    assert [str(item) for item in OURS if not is_allowed(item)] == []


def test_the_rule_refuses_what_points_the_other_way() -> None:
    for module, imported in (
        ("errors", "recipe"),
        ("data.views", "distill.training"),
        ("distill.training", "run.pipeline"),
        ("quantize.capture", "targets.base"),
        ("devices.local", "evaluate.parity"),
        ("report.page", "run.pipeline"),
        ("run.pipeline", "cli.app"),
        ("targets.base", "run.summary"),
        ("run.summary", "report.page"),
    ):
        assert not is_allowed(Import(module, imported, 1))


def test_nothing_imports_the_command_line() -> None:
    assert {item.module for item in OURS if within(item.imported, "cli") and not within(item.module, "cli")} <= {
        "__main__"
    }


TARGETS = {name.split(".")[1] for name in MODULES if name.startswith("targets.") and name.endswith(".target")}


def target_of(module: str) -> str | None:
    """Return the target whose folder a module lies in; none for `targets.base` and all that is no target."""
    room, _, rest = module.partition(".")
    folder = rest.partition(".")[0]
    return folder if room == "targets" and folder in TARGETS else None


def test_no_target_imports_another_and_nobody_imports_one_by_name() -> None:
    assert target_of("targets.arm_onnxruntime.target") == "arm_onnxruntime"
    assert [str(item) for item in OURS if target_of(item.imported) not in (None, target_of(item.module))] == []


def test_vendor_packages_stay_in_their_folder() -> None:
    homes = VENDOR_PACKAGES | TRACKING_PACKAGES
    others = [item for item in ALL_IMPORTS if item.imported.startswith("!")]
    assert [
        str(item)
        for item in others
        if (home := homes.get(item.imported[1:].split(".")[0])) and not within(item.module, home)
    ] == []


def test_what_runs_on_the_device_needs_numpy_and_onnxruntime_only() -> None:
    on_device = [module for module in MODULES if ".device." in module]
    on_device += ["data.arrays", "data.inputs", "data.tokens", "bench.measuring", "bench.sensors"]
    standard = sys.stdlib_module_names | {"__future__"}
    needed = {
        item.imported[1:].split(".")[0] if item.imported.startswith("!") else item.imported
        for module in on_device
        for item in imports_of(module)
    }
    # a target's own device modules and those of data/ are copied with it
    needed = {name for name in needed if ".device" not in name and not name.startswith("data.")}
    # `arrays` is data/arrays.py, copied beside the runner; so are measuring and sensors
    assert needed - standard <= {"numpy", "onnxruntime", "arrays"}


def module_level_imports(module: str) -> set[str]:
    """Return the first names that importing a module imports: not those in functions or for type checkers."""
    found: set[str] = set()
    todo: list[ast.stmt] = list(ast.parse(MODULES[module].read_text("utf-8")).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
        elif isinstance(node, ast.Try):
            todo += node.body
    return found


@pytest.mark.parametrize("module", [name for name, path in MODULES.items() if path.name == "__init__.py"])
def test_importing_a_package_imports_nothing(module: str) -> None:
    # else `import edgedistill.data.preprocessing` would load whatever the package loads
    # the Python interface, which is lazy; the program itself; the recipe, whose parts make one class
    if module in ("", "cli", "recipe"):
        return
    assert module_level_imports(module) <= {"__future__"}
