"""Loading models as recipes name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgedistill.errors import ModelError
from edgedistill.models import origins
from edgedistill.models.loading import check_outputs, load_model
from edgedistill.models.residual import ResidualNet
from edgedistill.models.separable import SeparableNet
from edgedistill.recipe import Model

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"width": 4, "blocks": (1, 1)}

FACTORY = """
from torch import nn
def build(width=3, classes=5): return nn.Sequential(nn.Flatten(), nn.Linear(12, width), nn.Linear(width, classes))
def number(): return 7
def broken(): raise RuntimeError("no such layer")
"""


def load(folder: Path, *, classes: int = 3, channels: int = 1, **fields: object) -> nn.Module:
    return load_model(Model(**fields), classes=classes, channels=channels, recipe_folder=folder)


def state_of(seed: int = 0, classes: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return ResidualNet(classes=classes, channels=1, **SMALL).state_dict()


@pytest.mark.parametrize(("source", "family"), [("residual", ResidualNet), ("separable", SeparableNet)])
def test_a_family_takes_classes_and_channels_from_the_data(
    source: str, family: type[nn.Module], tmp_path: Path
) -> None:
    module = load(tmp_path, source=source, options=SMALL, classes=6, channels=3)
    assert isinstance(module, family)
    assert module.eval()(torch.zeros(2, 3, 9, 9)).shape == (2, 6)


def test_families_are_the_same_with_and_without_torch() -> None:
    from edgedistill.models.loading import FAMILIES  # noqa: PLC0415 - this name alone is compared

    assert tuple(FAMILIES) == origins.FAMILIES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widht": 4}, "did you mean 'width'"),
        ({"classes": 4}, "wanted the data's own number"),
        ({"blocks": 3}, "options .* of 'residual'"),
        ({"width": "wide"}, "options .* of 'residual'"),
    ],
)
def test_options_that_a_family_does_not_take_are_refused(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        load(tmp_path, source="residual", options=options)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_weights_are_read(suffix: str, tmp_path: Path) -> None:
    state = state_of()
    path = tmp_path / f"teacher{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    module = load(tmp_path, source="residual", options=SMALL, weights=path.name)
    found = module.state_dict()
    assert list(found) == list(state)
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_keys_that_do_not_fit_are_listed_in_one_error(tmp_path: Path) -> None:
    state = state_of(classes=5)
    del state["stem.0.weight"]
    for name in ("a", "b", "c", "d"):
        state[f"other.{name}"] = torch.zeros(1)
    torch.save(state, tmp_path / "teacher.pt")
    with pytest.raises(
        ModelError,
        match=(
            r"1 missing: stem\.0\.weight; 4 unexpected: other\.a, other\.b, other\.c …; "
            r"2 of another shape: head\.weight \(5, 8\) for \(3, 8\), head\.bias \(5,\) for \(3,\)"
        ),
    ):
        load(tmp_path, source="residual", options=SMALL, weights="teacher.pt")


def test_a_factory_is_called_with_the_options(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(FACTORY, "utf-8")
    module = load(tmp_path, source="python:nets:build", options={"width": 9})
    assert module[1].out_features == 9


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("python:nets:bild", {}, "did you mean 'build'"),
        ("python:net:build", {}, "did you mean 'nets'"),
        ("python:nets:number", {}, "returns a int; wanted a torch nn.Module"),
        ("python:nets:broken", {}, "it fails: RuntimeError: no such layer"),
        ("python:nets:build", {"depth": 3}, "unexpected keyword argument 'depth'"),
        ("python:nets", {}, "wanted python:module:function"),
    ],
)
def test_a_factory_that_gives_no_module_is_refused(
    source: str, options: dict[str, object], message: str, tmp_path: Path
) -> None:
    (tmp_path / "nets.py").write_text(FACTORY, "utf-8")
    with pytest.raises(ModelError, match=message):
        load(tmp_path, source=source, options=options)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"source": "residul"}, "did you mean 'residual'"),
        ({"source": "gone.pt2"}, "no file"),
        ({"source": "gone.pt2", "weights": "a.pt"}, "wanted no 'weights'"),
        ({"source": "residual", "weights": "gone.pt"}, "no file"),
        ({"source": "residual", "weights": "a.onnx"}, "wanted a path ending in"),
        ({"source": "residual", "weights": "builtin:fashion-mnist"}, "did you mean 'fashion-mnist-residual24'"),
    ],
)
def test_names_that_lead_nowhere_are_refused(fields: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        load(tmp_path, **fields)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(state_of(), tmp_path / "teacher.pt")
    monkeypatch.setattr(origins, "MAX_BYTES", 100)
    with pytest.raises(ModelError, match="GB; wanted at most"):
        load(tmp_path, source="residual", options=SMALL, weights="teacher.pt")


def test_the_built_in_teacher_loads_where_it_is_installed(tmp_path: Path) -> None:
    model = Model(
        source="residual",
        options={"width": 24, "blocks": (1, 2, 2), "stem_stride": 1},
        weights="builtin:fashion-mnist-residual24",
    )
    try:
        origins.weights(model, tmp_path)
    except ModelError as error:
        pytest.skip(str(error))
    module = load_model(model, classes=10, channels=1, recipe_folder=tmp_path)
    check_outputs(module, (1, 28, 28), 10)


def test_outputs_that_fit_pass_and_every_mode_is_kept() -> None:
    module = ResidualNet(classes=3, channels=1, **SMALL)
    module.stem.eval()
    before = {name: part.training for name, part in module.named_modules()}
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    check_outputs(module, (1, 9, 9), 3)
    assert {name: part.training for name, part in module.named_modules()} == before
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())


class Returns(nn.Module):
    """Returns what it was given, whatever comes in."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value

    def forward(self, _inputs: torch.Tensor) -> object:
        return self.value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(2, 10), "10 outputs, and the data have 3 classes"),
        ((torch.zeros(2, 3),), "returns a tuple; wanted a tensor"),
        (torch.zeros(2, 3, 1), r"wanted floating point \(2, 3\)"),
        (torch.zeros(1, 3), r"wanted floating point \(2, 3\)"),
        (torch.zeros(2, 3, dtype=torch.int64), "torch.int64"),
    ],
)
def test_outputs_of_another_form_are_refused(value: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_outputs(Returns(value), (1, 9, 9), 3)


def test_inputs_that_the_model_cannot_take_are_refused() -> None:
    with pytest.raises(ModelError, match=r"fails on inputs \(2, 3, 9, 9\).*expected input"):
        check_outputs(ResidualNet(classes=3, channels=1, **SMALL), (3, 9, 9), 3)
