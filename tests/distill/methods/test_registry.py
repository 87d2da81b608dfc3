"""Methods are found by name, in this project and in other people's packages, whatever those do."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import pytest

from edgedistill.distill.methods import registry
from edgedistill.distill.methods.base import Kind, Method, Options
from edgedistill.errors import DependencyError, RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Install = Callable[..., None]

THEIRS = """
import torch
from edgedistill.distill.methods.base import Kind, Method, Options

class Scale(Options):
    scale: float = 2.0

THEIRS = Method(
    name="theirs", title="a test", source="none", kind=Kind.LOGITS, weight=3.0, beside="labels 1", options=Scale,
    build=lambda probed, options: lambda inputs: options.scale * inputs.student_logits.square().mean(),
)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return what installs a package with one module and one entry point of the group."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(package: str, code: str, *, name: str = "theirs", value: str = "") -> None:
        module = package.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code, "utf-8")
        folder = tmp_path / f"{module}-1.5.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n", "utf-8")
        target = value or f"{module}:THEIRS"
        (folder / "entry_points.txt").write_text(f"[edgedistill.losses]\n{name} = {target}\n", "utf-8")

    yield make
    sys.modules.pop("their_losses", None)


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_every_built_in_method_is_what_it_says(name: str) -> None:
    method = registry.method_named(name)
    assert isinstance(method, Method)
    assert method.name == name
    assert method.weight > 0
    assert method.checked({}) == method.options()
    assert all((method.title, method.source, method.beside))
    assert all(field.description for field in method.options.model_fields.values())


def test_names_are_sorted_and_a_misspelt_one_is_helped() -> None:
    assert list(registry.method_names()) == sorted(registry.method_names())
    assert set(registry.BUILT_IN) <= set(registry.method_names())
    with pytest.raises(RecipeError, match=r"loss 'dkt': no such method\. did you mean 'dkd'\? it has: "):
        registry.method_named("dkt")


def test_another_package_brings_a_method(install: Install) -> None:
    install("their-losses", THEIRS)
    method = registry.method_named("theirs")
    assert method.weight == 3.0
    assert method.checked({"scale": 5}).model_dump() == {"scale": 5.0}
    assert "theirs" in registry.method_names()


@pytest.mark.parametrize(
    ("code", "value", "told"),
    [
        ("raise RuntimeError('no licence')", "", "fails to load 'their_losses:THEIRS': RuntimeError: no licence"),
        ("import sys; sys.exit(3)", "", "fails to load 'their_losses:THEIRS': SystemExit: 3"),
        ("import not_installed_at_all", "", "ModuleNotFoundError: No module named 'not_installed_at_all'"),
        ("def f(:", "", "SyntaxError"),
        ("", "", "AttributeError"),
        ("", "no module", "fails to load 'no module'"),
        ("THEIRS = 3", "", r"brings a int \('their_losses:THEIRS'\); wanted an edgedistill.* of this name"),
        (THEIRS.replace('"theirs"', '"other"'), "", r"calls it 'other'"),
    ],
)
def test_a_package_that_fails_is_named_and_nothing_else_fails(
    install: Install, code: str, value: str, told: str
) -> None:
    install("their-losses", code, value=value)
    assert "theirs" in registry.method_names()
    assert registry.method_named("dkd").name == "dkd"
    with pytest.raises(DependencyError, match=r"loss 'theirs': package 'their-losses' 1\.5 ") as caught:
        registry.method_named("theirs")
    caught.match(told)
    caught.match(r"update or uninstall package 'their-losses' 1\.5\.$")
    assert caught.value.exit_code == 2


def test_a_name_that_two_bring_is_neither_s(install: Install) -> None:
    install("their-losses", THEIRS.replace('"theirs"', '"dkd"'), name="dkd")
    with pytest.raises(RecipeError, match=r"loss 'dkd': brought by edgedistill, package 'their-losses' 1\.5"):
        registry.method_named("dkd")
    assert registry.method_named("nkd").name == "nkd"


def test_the_same_package_found_twice_on_the_path_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("theirs", "edgedistill.distill.methods.logits:DKD", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda **_: metadata.EntryPoints([entry, entry]))
    assert len(registry._installed()["theirs"]) == 1


def test_describing_methods_loads_no_torch() -> None:
    program = """
import sys
from edgedistill.distill.methods.registry import method_named, BUILT_IN
from edgedistill.distill.methods.chosen import chosen_losses
[method_named(name).checked({}) for name in BUILT_IN]
assert not {'torch', 'numpy'} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_options_are_closed_frozen_and_helped() -> None:
    method = registry.method_named("dkd")
    with pytest.raises(
        RecipeError, match=r"options of loss 'dkd': unknown key 'betta': did you mean 'beta'\? it has: "
    ):
        method.checked({"betta": 1})
    with pytest.raises(RecipeError, match=r"options of loss 'dkd': 'temperature' is 0; wanted greater than 0"):
        method.checked({"temperature": 0})
    with pytest.raises(RecipeError, match=r"2 problems:\n  'alpha' is \"1\"; .*\n  'beta' is true"):
        method.checked({"alpha": "1", "beta": True})
    with pytest.raises(RecipeError, match="a value that no recipe can hold"):
        method.checked({"alpha": float("nan")})
    assert isinstance(method.checked({}), Options)
    assert method.kind is Kind.LOGITS
