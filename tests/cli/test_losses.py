"""`edgedistill losses`: what a recipe can name, with sources, defaults and options."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgedistill.distill.methods import registry
from edgedistill.distill.methods.registry import BUILT_IN

if TYPE_CHECKING:
    import pytest

Call = Callable[..., Any]


def test_lists_every_method_with_source_and_weight(edgedistill: Call) -> None:
    lines = edgedistill("losses").stdout.splitlines()
    assert lines[0].split() == ["method", "learns", "from", "weight", "beside", "what", "it", "does", "source"]
    assert [line.split()[0] for line in lines[1:]] == sorted(BUILT_IN)
    (dkd,) = (line for line in lines if line.startswith("dkd "))
    assert "arXiv:2203.08679" in dkd


def test_the_list_as_json_has_the_options(edgedistill: Call) -> None:
    listed = edgedistill("losses", "--json").document()
    assert [item["method"] for item in listed] == sorted(BUILT_IN)
    (dkd,) = (item for item in listed if item["method"] == "dkd")
    assert dkd["weight"] == 1.0
    assert dkd["learns_from"] == "logits"
    assert {option["name"]: option["default"] for option in dkd["options"]} == {
        "alpha": 1.0,
        "beta": 8.0,
        "temperature": 4.0,
    }


def test_shows_one_with_ranges(edgedistill: Call) -> None:
    shown = edgedistill("losses", "show", "multi-temperature").stdout
    assert "Multi-level Logit Distillation" in shown
    assert "[2.0, 3.0, 4.0, 5.0, 6.0]  list, each a number above 0, at most 100" in shown
    assert edgedistill("losses", "show", "dkd", "--json").document()["method"] == "dkd"


def test_an_unknown_one_is_helped(edgedistill: Call) -> None:
    ended = edgedistill("losses", "show", "dkdd")
    assert ended.exit_code == 2
    assert "did you mean 'dkd'?" in ended.stderr


def test_a_package_that_fails_hides_no_other(edgedistill: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILT_IN, "broken", "edgedistill.no_such_module:THING")
    lines = edgedistill("losses").stdout.splitlines()
    assert lines[-1].startswith(
        "not usable: loss 'broken': edgedistill fails to load 'edgedistill.no_such_module:THING'"
    )
    assert len(lines) == len(BUILT_IN) + 1
    assert edgedistill("losses", "--json").document()[-1]["method"] == "broken"
