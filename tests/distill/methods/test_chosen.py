from __future__ import annotations

import pytest

from edgedistill.distill.methods import chosen
from edgedistill.distill.methods.base import Kind, LayerPair, Method, Options
from edgedistill.distill.methods.chosen import chosen_losses, leaves_layers_open, student_layers, teacher_layers
from edgedistill.errors import RecipeError
from edgedistill.recipe import Distill, Hint, Loss

FEATURES = Method(
    name="features",
    title="a test",
    source="none",
    kind=Kind.FEATURES,
    weight=7.0,
    beside="labels 1",
    options=Options,
    build=lambda _probed, _options: lambda inputs: inputs.student_logits.sum(),
)


@pytest.fixture
def _features(monkeypatch: pytest.MonkeyPatch) -> None:
    known = chosen.method_named
    monkeypatch.setattr(chosen, "method_named", lambda name: FEATURES if name == "features" else known(name))


def test_weight_and_options_are_the_method_s_unless_the_recipe_has_its_own() -> None:
    plain, own = chosen_losses((Loss(method="dkd"), Loss(method="dkd", weight=2, options={"beta": 2, "alpha": 0.5})))
    assert plain.weight == 1.0
    assert plain.options.model_dump() == {"alpha": 1.0, "beta": 8.0, "temperature": 4.0}
    assert own.weight == 2.0
    assert own.options.model_dump() == {"alpha": 0.5, "beta": 2.0, "temperature": 4.0}


def test_a_key_sees_everything_that_is_taught() -> None:
    def document(**settings: object) -> dict[str, object]:
        (found,) = chosen_losses((Loss.model_validate({"method": "dkd", **settings}),))
        return found.document()

    assert document() == document(weight=1.0) == document(options={"alpha": 1})
    others = [document(weight=2), document(options={"alpha": 2}), document(warmup_epochs=3)]
    assert all(document() != other for other in others)


def test_methods_of_logits_have_no_layers() -> None:
    with pytest.raises(RecipeError, match=r"loss 'dkd': 1 layers .* and 0 .*; wanted none: it learns from the outputs"):
        chosen_losses((Loss(method="dkd", teacher="stem"),))


@pytest.mark.usefixtures("_features")
def test_methods_of_features_have_as_many_layers_of_both() -> None:
    one, two = chosen_losses(
        (
            Loss(method="features", teacher="a", student="b"),
            Loss(method="features", teacher=("a", "c"), student=("b", "d")),
        )
    )
    assert one.pairs == (LayerPair(teacher="a", student="b"),)
    assert two.pairs == (LayerPair(teacher="a", student="b"), LayerPair(teacher="c", student="d"))
    for wrong in ({"teacher": "a"}, {"teacher": ("a", "c"), "student": ("b",)}):
        with pytest.raises(RecipeError, match="wanted as many `teacher` layers as `student` layers, or none"):
            chosen_losses((Loss.model_validate({"method": "features", **wrong}),))


@pytest.mark.usefixtures("_features")
def test_layers_are_left_open_by_patterns_and_by_methods_of_features_without_any() -> None:
    named = Loss(method="features", teacher="a.0", student="b@input")
    hint = Hint(teacher="a", student="b")
    assert not leaves_layers_open(Distill(losses=(named, Loss(method="dkd")), hints=(hint,)))
    assert leaves_layers_open(Distill(losses=(Loss(method="features"),)))
    assert leaves_layers_open(Distill(losses=(Loss(method="features", teacher="a.*", student="b.*"),)))
    assert leaves_layers_open(Distill(hints=(Hint(teacher="a", student="b.{0,1}"),)))


@pytest.mark.usefixtures("_features")
def test_layers_of_hints_and_losses_each_once() -> None:
    losses = (Loss(method="features", teacher=("a", "c"), student=("b", "d")), Loss(method="dkd"))
    settings = Distill(hints=(Hint(teacher="z", student="y"), Hint(teacher="a", student="b")), losses=losses)
    assert teacher_layers(settings) == ["a", "c", "z"]
    assert student_layers(settings) == ["b", "d", "y"]
