"""The Python interface: which names it has, and that each call does what the command line does."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest

import edgedistill
from edgedistill import api
from edgedistill.progress import SILENT
from edgedistill.run.pipeline import Stage


@pytest.mark.parametrize("name", edgedistill.__all__)
def test_every_name_of_the_python_interface_is_there(name: str) -> None:
    assert name in dir(edgedistill)
    assert isinstance(getattr(edgedistill, name), str) or callable(getattr(edgedistill, name))


def test_the_python_interface_has_these_names_and_no_others() -> None:
    assert edgedistill.__all__ == [
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
    with pytest.raises(AttributeError, match="has no attribute 'destill'"):
        _ = edgedistill.destill


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("distill", Stage.DISTILL),
        ("quantize", Stage.QUANTIZE),
        ("build", Stage.BUILD),
        ("verify", Stage.VERIFY),
        ("benchmark", Stage.BENCH),
        ("run", Stage.REPORT),
    ],
)
def test_each_function_plans_to_its_stage_and_executes(
    monkeypatch: pytest.MonkeyPatch, name: str, stage: Stage
) -> None:
    asked: list[object] = []
    planned, summary = SimpleNamespace(), SimpleNamespace()
    monkeypatch.setattr(api, "plan", lambda recipe, **options: asked.append((recipe, options)) or planned)
    monkeypatch.setattr(api, "execute", lambda plan, **options: asked.append((plan, options)) or summary)
    verb = getattr(edgedistill, name)
    assert verb("a/recipe.yaml", folder="out", overrides=["seed=1"], callbacks=[print]) is summary
    options = {"overrides": ["seed=1"], "folder": Path("out"), "until": stage}
    assert asked == [(Path("a/recipe.yaml"), options), (planned, {"callbacks": [print], "progress": SILENT})]
    asked.clear()
    verb(Path("recipe.yaml"))
    assert asked[0] == (Path("recipe.yaml"), {"overrides": (), "folder": None, "until": stage})


@pytest.mark.parametrize("name", ["distill", "quantize", "run"])
def test_a_function_named_as_a_subpackage_is_both(name: str) -> None:
    package = importlib.import_module(f"edgedistill.{name}")
    assert getattr(edgedistill, name) is package  # also after something below it was imported
    assert inspect.signature(package) == inspect.signature(getattr(api, name))
    assert package.__path__
