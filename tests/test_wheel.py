"""The wheel is whole: what it holds is what the checkout holds, and every module of it can be imported alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
FOLDERS: dict[str, str] = SETUPTOOLS["package-dir"]

# Imports every module below a folder and checks that each comes from there, not from an editable install.
# What runs only with an extra's vendor package may miss that package, and nothing else.
IMPORT_ALL = """
import importlib, pathlib, sys
EXTRAS = {"edgedistill.targets.jetson_tensorrt.structure_worker": "tensorrt_rtx"}
root = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(root))
count = 0
for path in sorted(root.glob("edgedistill/**/*.py")):
    name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    if path.name == "__main__.py":  # it is the program, and would start it
        continue
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        assert error.name == EXTRAS.get(name), (name, error)
        count += 1
        continue
    assert pathlib.Path(module.__file__) == path, (module.__file__, path)
    count += 1
print(count)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy: a build in the checkout would leave files, and take up those left before."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in FOLDERS.values():
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(source / "dist"), str(source)],
        check=True,
        capture_output=True,
    )
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def files_of_the_checkout() -> set[str]:
    """Return every file of our packages by its path in the wheel."""
    return {
        "/".join((*package.split("."), *path.relative_to(ROOT / folder).parts))
        for package, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_file_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    inside = {name for name in names if ".dist-info/" not in name}
    assert sorted(inside) == sorted(files_of_the_checkout())
    assert {Path(name).name for name in names - inside} >= {"METADATA", "entry_points.txt", "LICENSE"}


def test_the_data_that_code_reads_is_inside(unpacked: Path) -> None:
    schemas = ("recipe.schema.json", "bench/measurement.schema.json")
    for name in ("py.typed", *schemas, "starter.yaml", "report/report.css"):
        assert (unpacked / "edgedistill" / name).is_file(), name


def test_every_module_can_be_imported_from_the_wheel_alone(unpacked: Path, tmp_path: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT_ALL, str(unpacked)],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert completed.returncode == 0, completed.stderr[-4000:]
    assert int(completed.stdout) == sum(1 for path in unpacked.rglob("*.py") if path.name != "__main__.py")
