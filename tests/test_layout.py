"""The packaging map in pyproject.toml names what is on disk: packages, data files, versions, and the licence."""

from __future__ import annotations

import fnmatch
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import edgedistill

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def packages_on_disk() -> dict[str, Path]:
    """Return the folder of every package by name."""
    return {
        ".".join([package, *init.parent.relative_to(ROOT / folder).parts]): init.parent
        for package, folder in SETUPTOOLS["package-dir"].items()
        for init in (ROOT / folder).rglob("__init__.py")
    }


def data_files(package: Path) -> list[str]:
    """Return the files of a package that are no Python, those of its inner packages left out."""
    return [
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file()
        and path.suffix not in (".py", ".pyc")
        and next(folder for folder in path.parents if (folder / "__init__.py").exists()) == package
    ]


def test_every_package_on_disk_is_in_the_wheel() -> None:
    # one that is missing works when installed editable, and is absent from the wheel
    assert sorted(packages_on_disk()) == sorted(SETUPTOOLS["packages"])


def test_every_folder_with_python_is_a_package() -> None:
    top = [ROOT / folder for folder in SETUPTOOLS["package-dir"].values()]
    folders = {path.parent for folder in top for path in folder.rglob("*.py")}
    assert folders == set(packages_on_disk().values())


def test_every_data_file_is_in_the_wheel() -> None:
    listed = SETUPTOOLS["package-data"]
    left_out = [
        f"{name}: {file}"
        for name, folder in packages_on_disk().items()
        for file in data_files(folder)
        if not any(fnmatch.fnmatch(file, pattern) for pattern in listed.get(name, []))
    ]
    assert left_out == []


@pytest.mark.parametrize(
    ("package", "pattern"),
    [(package, pattern) for package, patterns in SETUPTOOLS["package-data"].items() for pattern in patterns],
)
def test_every_pattern_of_data_files_finds_one(package: str, pattern: str) -> None:
    assert list(packages_on_disk()[package].glob(pattern))


def test_there_is_one_version() -> None:
    assert edgedistill.__version__ == PROJECT["project"]["version"]
    assert f"## {edgedistill.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_requirement_is_pinned_to_a_version_it_accepts() -> None:
    pinned = pins()
    project = PROJECT["project"]
    for line in (*project["dependencies"], *project["optional-dependencies"]["dev"]):
        requirement = Requirement(line)
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), line


def test_the_pins_name_no_place_to_download_from() -> None:
    text = (ROOT / "constraints.txt").read_text("utf-8")
    assert "://" not in text
    assert "--" not in text


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert all(line.count("==") == 1 for line in lines)
    names = [canonicalize_name(line.partition("==")[0]) for line in lines]
    assert len(set(names)) == len(names)
    return {name: line.partition("==")[2] for name, line in zip(names, lines, strict=True)}


def test_our_targets_are_found_as_other_peoples_are() -> None:
    declared = PROJECT["project"]["entry-points"]["edgedistill.targets"]
    found = {entry.name: entry.value for entry in entry_points(group="edgedistill.targets")}
    assert declared.items() <= found.items()


def test_type_checkers_find_the_packages_that_stand_at_the_top() -> None:
    for name in ("targets", "calibration"):
        assert (ROOT / "typings" / "edgedistill" / name).resolve() == ROOT / name


def test_the_licence_is_there_in_full() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["project"]["license"] == "Apache-2.0"
