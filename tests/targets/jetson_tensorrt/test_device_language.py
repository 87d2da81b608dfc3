"""What is copied onto the module must be readable by the Python of the oldest JetPack, 3.8."""

import ast
from importlib import resources

import pytest

from edgedistill.targets.jetson_tensorrt.writer import DEVICE_MODULES


@pytest.mark.parametrize(("package", "name"), DEVICE_MODULES, ids=lambda part: part.rpartition(".")[2])
def test_it_is_in_the_grammar_of_python_3_8(package: str, name: str) -> None:
    source = (resources.files(package) / name).read_text("utf-8")
    ast.parse(source, feature_version=(3, 8))
    for newer in ("removeprefix", "removesuffix", "strict=", "is_relative_to", "from typing import Self"):
        assert newer not in source


def test_every_module_of_the_device_folder_is_copied() -> None:
    folder = resources.files("edgedistill.targets.jetson_tensorrt.device")
    names = {path.name for path in folder.iterdir() if path.name.endswith(".py")} - {"__init__.py"}
    copied = {name for package, name in DEVICE_MODULES if package.endswith("device")}
    assert copied == names
