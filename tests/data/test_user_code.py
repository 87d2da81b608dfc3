"""Functions that a recipe names."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from edgedistill.data.user_code import user_function
from edgedistill.errors import DataError, ModelError

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def test_a_function_beside_the_recipe_is_found_and_called(tmp_path: Path) -> None:
    write(tmp_path, "mine.py", "import beside\ndef make(): return beside.VALUE")
    write(tmp_path, "beside.py", "VALUE = 7")
    before = list(sys.path)
    assert user_function("python:mine:make", tmp_path, error=DataError).load()() == 7
    assert sys.path == before


def test_modules_of_one_name_beside_two_recipes_are_kept_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, "same_name.py", f"def make(): return '{name}'")
    for name in ("one", "two", "one"):
        assert user_function("python:same_name:make", tmp_path / name, error=DataError).load()() == name


def test_an_installed_function_is_found(tmp_path: Path) -> None:
    found = user_function("python:json.decoder:scanstring", tmp_path, error=DataError)
    assert found.folder is None
    assert callable(found.load())


def test_a_module_beside_the_recipe_must_not_hide_an_installed_one(tmp_path: Path) -> None:
    write(tmp_path, "json.py", "")
    with pytest.raises(DataError, match="two modules 'json'"):
        user_function("python:json:loads", tmp_path, error=DataError)


@pytest.mark.parametrize("source", ["python:mine", "python::make", "python:mine:", "python:a/b:make", "mine:make", ""])
def test_another_form_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(ModelError, match="wanted python:module:function"):
        user_function(source, tmp_path, error=ModelError)


def test_a_missing_module_or_function_lists_what_exists(tmp_path: Path) -> None:
    write(tmp_path, "flowers.py", "def build(): pass\ndef _hidden(): pass")
    with pytest.raises(DataError, match="did you mean 'flowers'"):
        user_function("python:flower:build", tmp_path, error=DataError)
    with pytest.raises(DataError, match=r"has no function 'built'.*did you mean 'build'\? it has: build\."):
        user_function("python:flowers:built", tmp_path, error=DataError).load()


def test_a_compiled_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Python source"):
        user_function("python:sys:exit", tmp_path, error=DataError)
