"""Every method of features, end to end on a few shapes: the loss falls, and a killed run ends as an unkilled one."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch

from edgedistill.data import shapes
from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.data.transfer_set import Samples
from edgedistill.data.views import transfer_set
from edgedistill.distill.checkpoint import DIGEST_BYTES, MAGIC
from edgedistill.distill.layer_choice import Both, with_layers
from edgedistill.distill.methods.base import Kind
from edgedistill.distill.methods.chosen import chosen_losses, teacher_layers
from edgedistill.distill.methods.registry import method_named, method_names
from edgedistill.distill.reused_head import with_teachers_head
from edgedistill.distill.student import distill, load_student, save_student
from edgedistill.distill.teacher_cache import teach
from edgedistill.errors import ModelError, RecipeError, ShapeError
from edgedistill.models.residual import ResidualNet
from edgedistill.models.separable import SeparableNet
from edgedistill.models.text import TextEncoder
from edgedistill.recipe import Distill, Loss, Views

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedistill.data.transfer_set import TransferSet
    from edgedistill.distill.teacher_cache import SoftTargets

SAMPLES = 96
ON_IMAGES = [
    name for name in method_names() if method_named(name).kind is Kind.FEATURES and not method_named(name).same_tokens
]


RATES = {"mgd": 0.3}  # its weight is 7e-5


class KilledError(Exception):
    pass


@cache
def few_shapes() -> TransferSet:
    raw = shapes.read("train")
    samples = Samples(raw.raw[:SAMPLES], raw.labels[:SAMPLES], raw.classes, "few")
    preprocessing = ImagePreprocessing(kind="image", size=(28, 28), channels=1, mean=(0.3,), std=(0.3,))
    return transfer_set(samples, preprocessing, Views(count=2, shift=1), 0)


def seeded(make: Callable[[], torch.nn.Module], seed: int) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


@cache
def teacher() -> ResidualNet:
    """Return a teacher of random weights, whose norms have seen the data."""
    model = seeded(lambda: ResidualNet(classes=6, channels=1, width=6, stem_stride=2), 1)
    with torch.no_grad():
        for view in (0, 1):
            model(torch.from_numpy(few_shapes().batch(range(SAMPLES), view=view).inputs))
    return model.eval()


def settings_for(method: str, **options: object) -> Distill:
    loss = Loss(method=method, options=options)
    nothing = {"label_weight": 0, "soft_targets": {"weight": 0}}
    training = {"epochs": 4, "batch_size": 32, "learning_rate": RATES.get(method, 0.01), "warmup": 0}
    named = Distill.model_validate({**nothing, **training}).model_copy(update={"losses": (loss,)})
    return with_layers(named, both(bare_student()))


def bare_student() -> torch.nn.Module:
    return seeded(lambda: SeparableNet(classes=6, channels=1, width=4, blocks=(1, 1, 1), stem_stride=2), 2)


def both(student: torch.nn.Module) -> Both:
    inputs = torch.from_numpy(few_shapes().plain(range(2)).inputs)
    return Both(student, teacher(), inputs, inputs)


def new_student(settings: Distill) -> torch.nn.Module:
    student = bare_student()
    (chosen,) = chosen_losses(settings.losses)
    if not chosen.method.reuses_head:
        return student
    return seeded(lambda: with_teachers_head(both(student), chosen.pairs[0]), 3)


def taught(settings: Distill, folder: Path) -> SoftTargets:
    layers = teacher_layers(settings)
    key = "-".join(layers).replace("@", "_")
    return teach(teacher(), few_shapes(), key=key, folder=folder, views_needed=2, layers=layers)


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("soft-targets")


@pytest.mark.parametrize("method", ON_IMAGES)
def test_the_loss_falls_and_the_student_stays_bare(method: str, cache_folder: Path, tmp_path: Path) -> None:
    settings = settings_for(method)
    student = new_student(settings)
    names = list(student.state_dict())
    history = distill(student, few_shapes(), taught(settings, cache_folder), settings=settings, seed=0, teacher=teacher)
    losses = [point.loss for point in history.points]
    assert losses[-1] < losses[0]
    assert list(student.state_dict()) == names
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in student.modules())
    save_student(student, tmp_path / "student.safetensors")
    again = new_student(settings)
    load_student(again, tmp_path / "student.safetensors")
    inputs = torch.from_numpy(few_shapes().plain(range(4)).inputs)
    assert torch.equal(again.eval()(inputs), student(inputs))


@pytest.mark.parametrize("method", ["crd", "review", "mgd"])
def test_killed_and_resumed_it_ends_with_the_same_bits(method: str, cache_folder: Path, tmp_path: Path) -> None:
    settings = settings_for(method)
    soft_targets = taught(settings, cache_folder)

    def run(checkpoint: Path | None, *, dies_at: int = 0) -> dict[str, torch.Tensor]:
        student = new_student(settings)
        evaluated: list[int] = []

        def evaluate(_model: torch.nn.Module) -> float:
            evaluated.append(1)
            if len(evaluated) == dies_at:
                raise KilledError
            return 0.5

        distill(
            student,
            few_shapes(),
            soft_targets,
            settings=settings,
            seed=0,
            checkpoint=checkpoint,
            evaluate=evaluate,
            teacher=teacher,
        )
        return student.state_dict()

    whole = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", dies_at=3)
    resumed = run(tmp_path / "killed")
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []
    extra = [saved_extra(tmp_path / name) for name in ("whole", "killed")]
    assert extra[0].keys() == extra[1].keys()
    assert extra[0]
    assert all(torch.equal(extra[0][name], extra[1][name]) for name in extra[0])


def saved_extra(path: Path) -> dict[str, torch.Tensor]:
    """Return the learned parts and memories in a checkpoint, which holds tensors, numbers and text only."""
    body = path.read_bytes()[len(MAGIC) + DIGEST_BYTES :]
    saved = torch.load(io.BytesIO(body), weights_only=True)
    return dict(saved["state"]["extra"])


def test_a_student_with_the_teachers_head_is_changed_for_good() -> None:
    settings = settings_for("simkd")
    student = new_student(settings)
    assert torch.equal(student.head.weight, teacher().head.weight)
    assert not student.head.weight.requires_grad
    assert "stages.projector.0.weight" in student.state_dict()
    exported = torch.export.export(student.eval(), (torch.zeros(2, 1, 28, 28),)).module()
    inputs = torch.from_numpy(few_shapes().plain(range(2)).inputs)
    torch.testing.assert_close(exported(inputs), student(inputs))


def test_a_head_that_is_not_behind_an_average_is_refused() -> None:
    flat = seeded(
        lambda: torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, 4), torch.nn.Flatten(), torch.nn.Linear(196, 6)), 0
    )
    settings = Distill(losses=(Loss(method="simkd", teacher="stages", student="0"),))
    (chosen,) = chosen_losses(settings.losses)
    with pytest.raises(ModelError, match="student for 'simkd': layer '0' does not go through an average"):
        with_teachers_head(both(flat), chosen.pairs[0])


def test_without_the_head_simkd_says_what_to_do(cache_folder: Path) -> None:
    settings = settings_for("simkd")
    with pytest.raises(ShapeError, match="with_teachers_head"):
        distill(bare_student(), few_shapes(), taught(settings, cache_folder), settings=settings, seed=0)


def test_methods_of_tokens_refuse_what_has_none(cache_folder: Path) -> None:
    for method in ("hidden-states", "minilm"):
        settings = Distill(losses=(Loss(method=method, teacher="stages", student="stages"),))
        with pytest.raises(ShapeError, match=rf"loss '{method}': student features .* as many tokens"):
            distill(bare_student(), few_shapes(), taught(settings, cache_folder), settings=settings, seed=0)


def test_open_layers_are_refused_where_no_teacher_is_at_hand(cache_folder: Path) -> None:
    settings = Distill(losses=(Loss(method="vid"),))
    with pytest.raises(RecipeError, match=r"layers of 'vid'.*with_layers"):
        distill(bare_student(), few_shapes(), taught(settings, cache_folder), settings=settings, seed=0)


def test_patterns_of_hints_and_losses_become_layers() -> None:
    settings = Distill.model_validate(
        {
            "hints": [{"teacher": "stages.{0,1}", "student": "stages.{0,1}"}],
            "losses": [{"method": "vid", "teacher": "stages.*", "student": "stages.*"}],
        }
    )
    named = with_layers(settings, both(bare_student()))
    assert [(hint.teacher, hint.student) for hint in named.hints] == [("stages.0",) * 2, ("stages.1",) * 2]
    assert named.losses[0].teacher == ("stages.0", "stages.1", "stages.2")


def test_attention_wants_heads_that_divide_the_width() -> None:
    encoder = TextEncoder(classes=2, vocabulary=9, length=8, width=8, heads=2)
    tokens = torch.ones(2, 8, dtype=torch.int32)
    loss = Loss(method="attention", options={"student_heads": 3})
    named = with_layers(Distill(losses=(loss,)), Both(encoder, encoder, tokens, tokens))
    (chosen,) = chosen_losses(named.losses)
    assert [pair.student for pair in chosen.pairs] == [
        f"layers.{n}.{part}" for n in (0, 1) for part in ("query", "key")
    ]
