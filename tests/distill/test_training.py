from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from edgedistill.distill.history import History, StepInfo
from edgedistill.distill.methods.chosen import teacher_layers
from edgedistill.distill.objective import DistillObjective, LabelObjective, Objective
from edgedistill.distill.schedule import order_of
from edgedistill.distill.teacher_cache import teach
from edgedistill.distill.training import fit
from edgedistill.errors import DataError, ModelError
from edgedistill.recipe import Distill, Hint, Optimizer, Training
from edgedistill.run.summary import CurvePoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.distill.conftest import NoiseSet, Recorder, SmallNet

    Sets = Callable[..., NoiseSet]
    Nets = Callable[..., SmallNet]
    State = dict[str, torch.Tensor]

TRAINING = Training(epochs=2.5, batch_size=8, learning_rate=0.05, ema=0.9)


class InterruptedAtWillError(Exception):
    pass


def accuracy_on(transfer_set: NoiseSet) -> Callable[[nn.Module], float]:
    batch = transfer_set.plain(range(len(transfer_set)))

    def accuracy(model: nn.Module) -> float:
        assert not model.training
        assert not torch.is_grad_enabled()
        return float((model(torch.from_numpy(batch.inputs)).argmax(1).numpy() == batch.labels).mean())

    return accuracy


def state_of(*modules: nn.Module) -> State:
    return {
        f"{place}.{name}": tensor.clone()
        for place, module in enumerate(modules)
        for name, tensor in module.state_dict().items()
    }


def assert_same_bits(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.fixture
def transfer_set(noise_set: Sets) -> NoiseSet:
    return noise_set(37, view_count=2)


@pytest.fixture
def train(transfer_set: NoiseSet, small_net: Nets, tmp_path: Path) -> Callable[..., tuple[State, History]]:
    """Return a distillation with a hint from fresh weights: final state of student and projector, history."""
    hints = (Hint(teacher="stages.0", student="stages.0"),)
    settings = Distill(hints=hints)
    soft_targets = teach(
        small_net(6, seed=9),
        transfer_set,
        key="k",
        folder=tmp_path / "cache",
        views_needed=2,
        layers=teacher_layers(settings),
    )

    def run(**options: object) -> tuple[State, History]:
        student = small_net(4)
        torch.manual_seed(5)
        objective = DistillObjective(soft_targets, settings, student_features={"stages.0": (4, 6, 6)})
        defaults = {
            "training": TRAINING,
            "objective": objective,
            "seed": 3,
            "evaluate": accuracy_on(transfer_set),
        }
        history = fit(student, transfer_set, **{**defaults, **options})
        return state_of(student, objective.extra), history

    return run


def stop_before(step: int) -> Callable[[StepInfo], None]:
    def on_step(info: StepInfo) -> None:
        if info.step == step:
            raise InterruptedAtWillError

    return on_step


@pytest.mark.parametrize("every_s", [0.0, 1e9])
@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_killed_and_resumed_it_ends_with_the_same_bits(
    train: Callable[..., tuple[State, History]], tmp_path: Path, every_s: float, optimizer: Optimizer
) -> None:
    training = TRAINING.model_copy(update={"optimizer": optimizer})
    state, history = train(training=training)
    path = tmp_path / "checkpoint"
    for step in (0, 2, 5, 7, 11):
        with pytest.raises(InterruptedAtWillError):
            train(training=training, checkpoint=path, checkpoint_every_s=every_s, on_step=stop_before(step))
    seen: list[int] = []
    resumed, resumed_history = train(training=training, checkpoint=path, on_step=lambda info: seen.append(info.step))
    assert seen == ([11] if every_s == 0 else [10, 11])
    assert_same_bits(state, resumed)
    assert resumed_history == history


def test_one_that_is_done_goes_on_from_its_end(train: Callable[..., tuple[State, History]], tmp_path: Path) -> None:
    first = train(checkpoint=tmp_path / "checkpoint")
    again = train(checkpoint=tmp_path / "checkpoint", on_step=stop_before(11))
    assert_same_bits(first[0], again[0])
    assert again[1] == first[1]


@pytest.mark.parametrize(
    "change",
    [
        {"key": "other"},
        {"seed": 4},
        {"training": TRAINING.model_copy(update={"learning_rate": 0.06})},
    ],
)
def test_a_checkpoint_of_another_training_is_ignored(
    train: Callable[..., tuple[State, History]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, object],
) -> None:
    path = tmp_path / "checkpoint"
    with pytest.raises(InterruptedAtWillError):
        train(checkpoint=path, on_step=stop_before(7))
    seen: list[int] = []
    state, _ = train(checkpoint=path, on_step=lambda info: seen.append(info.step), **change)
    assert seen[0] == 0
    assert "of another training" in caplog.text
    assert_same_bits(state, train(**change)[0])


def test_a_torn_checkpoint_is_ignored(
    train: Callable[..., tuple[State, History]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "checkpoint"
    state, _ = train(checkpoint=path)
    path.write_bytes(path.read_bytes()[:-100])
    again, _ = train(checkpoint=path)
    assert "is damaged" in caplog.text
    assert_same_bits(state, again)


def test_history_has_a_point_per_epoch_that_fits_a_curve(
    train: Callable[..., tuple[State, History]],
) -> None:
    _, history = train()
    assert [point.epoch for point in history.points] == [1, 2, 2.4]  # 12 of 5 steps per epoch
    assert all(point.accuracy is not None and 0 <= point.accuracy <= 1 for point in history.points)
    assert history.points[0].loss > history.points[-1].loss > 0
    rates = [point.learning_rate for point in history.points]
    assert rates == sorted(rates, reverse=True)
    curve = [CurvePoint(**vars(point)) for point in history.points]
    assert curve[-1].accuracy == history.points[-1].accuracy
    _, blind = train(evaluate=None)
    assert [point.accuracy for point in blind.points] == [None] * 3
    assert [point.loss for point in blind.points] == [point.loss for point in history.points]


def test_one_step_of_plain_descent_equals_the_formula(noise_set: Sets) -> None:
    # one linear layer, one batch, one step: weights move by rate · 1.9 · gradient (Nesterov's first step)
    transfer_set = noise_set(8, view_count=1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    start = model[1].weight.detach().clone()
    order = order_of(0, samples=8, seed=0)
    batch = transfer_set.batch(order, view=0)
    loss = LabelObjective()(model, torch.from_numpy(batch.inputs), batch, order, 0)
    (gradient,) = torch.autograd.grad(loss, model[1].weight)
    training = Training(epochs=1, batch_size=8, learning_rate=0.5, weight_decay=0, warmup=1)
    history = fit(model, transfer_set, training=training, objective=LabelObjective(), seed=0)
    torch.testing.assert_close(model[1].weight.detach(), start - 0.5 * 1.9 * gradient)
    assert history.points[0].loss == float(loss.detach())
    assert history.points[0].learning_rate == 0.5


def test_it_learns_what_can_be_learnt(noise_set: Sets, small_net: Nets) -> None:
    transfer_set = noise_set(200, view_count=2)
    student = small_net(8)
    accuracy = accuracy_on(transfer_set)
    before = accuracy_no_grad(student, accuracy)
    training = Training(epochs=6, batch_size=16, learning_rate=0.1)
    fit(student, transfer_set, training=training, objective=LabelObjective(), seed=0)
    assert not student.training
    assert accuracy_no_grad(student, accuracy) > max(0.9, before)


def accuracy_no_grad(model: nn.Module, accuracy: Callable[[nn.Module], float]) -> float:
    with torch.no_grad():
        return accuracy(model.eval())


def test_the_average_is_what_is_evaluated_and_returned(
    train: Callable[..., tuple[State, History]], transfer_set: NoiseSet
) -> None:
    evaluated: list[State] = []

    def evaluate(model: nn.Module) -> float:
        evaluated.append(state_of(model))
        return accuracy_on(transfer_set)(model)

    averaged, _ = train(evaluate=evaluate)
    plain, _ = train(training=TRAINING.model_copy(update={"ema": 0.0}))
    student = {name: tensor for name, tensor in averaged.items() if name.startswith("0.")}
    assert_same_bits(evaluated[-1], student)
    assert not torch.equal(averaged["0.head.weight"], plain["0.head.weight"])
    assert torch.equal(averaged["1.0.0.weight"], plain["1.0.0.weight"])  # the projector is not averaged


def test_norms_train_even_when_the_model_comes_in_evaluation_mode(transfer_set: NoiseSet, small_net: Nets) -> None:
    student = small_net().eval()
    fit(student, transfer_set, training=TRAINING, objective=LabelObjective(), seed=0)
    assert int(student.stem[1].num_batches_tracked) == 12


def test_the_average_follows_every_step(transfer_set: NoiseSet, small_net: Nets) -> None:
    plain, averaged = small_net(), small_net()
    seen: list[torch.Tensor] = []

    def look(_: StepInfo) -> None:
        seen.append(plain.head.bias.detach().clone())

    without = TRAINING.model_copy(update={"ema": 0.0})
    fit(plain, transfer_set, training=without, objective=LabelObjective(), seed=0, on_step=look)
    fit(averaged, transfer_set, training=TRAINING, objective=LabelObjective(), seed=0)
    look(StepInfo(12, 12, 2, 0, 0.0))
    wanted = seen[0].double()
    for count, bias in enumerate(seen[1:]):
        decay = min(0.9, (1 + count) / (10 + count))
        wanted = decay * wanted + (1 - decay) * bias
    torch.testing.assert_close(averaged.head.bias.detach(), wanted.float(), rtol=1e-5, atol=1e-7)


def test_a_checkpoint_of_other_weights_is_ignored(
    transfer_set: NoiseSet, small_net: Nets, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def run(net: SmallNet, on_step: Callable[[StepInfo], None] | None = None) -> None:
        options = {"training": TRAINING, "objective": LabelObjective(), "seed": 0, "on_step": on_step}
        fit(net, transfer_set, checkpoint=tmp_path / "checkpoint", **options)

    with pytest.raises(InterruptedAtWillError):
        run(small_net(seed=0), stop_before(7))
    seen: list[int] = []
    run(small_net(seed=1), lambda info: seen.append(info.step))
    assert seen[0] == 0
    assert "of another training" in caplog.text


def test_steps_are_announced_with_their_view_and_learning_rate(
    train: Callable[..., tuple[State, History]], transfer_set: NoiseSet
) -> None:
    infos: list[StepInfo] = []
    train(on_step=infos.append)
    assert [(info.step, info.epoch, info.view) for info in infos] == [
        (step, step // 5, step // 5 % 2) for step in range(12)
    ]
    assert {info.total_steps for info in infos} == {12}
    assert infos[6].share == 0.5
    assert max(info.learning_rate for info in infos) == TRAINING.learning_rate
    assert dict(transfer_set.batches) == {0: 7 + 1, 1: 5 + 1}  # and one each by the teacher


def test_progress_tells_epoch_loss_and_accuracy(
    train: Callable[..., tuple[State, History]], recorder: Recorder, tmp_path: Path
) -> None:
    _, history = train(progress=recorder, title="distill", checkpoint=tmp_path / "checkpoint")
    assert (recorder.title, recorder.total, recorder.steps) == ("distill", 12, 12)
    assert recorder.notes[0] == "epoch 1/2.5"
    point = history.points[0]
    assert recorder.notes[5] == f"epoch 2/2.5 · loss {point.loss:.2f} · accuracy {100 * point.accuracy:.1f} %"
    recorder.steps = 0
    train(progress=recorder, checkpoint=tmp_path / "checkpoint")
    assert recorder.steps == 12


def test_no_epochs_change_nothing(train: Callable[..., tuple[State, History]], small_net: Nets) -> None:
    state, history = train(training=Training.model_construct(**{**vars(TRAINING), "epochs": 0.0}))
    assert history == History()
    assert_same_bits({name: tensor for name, tensor in state.items() if name.startswith("0.")}, state_of(small_net(4)))


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched(
    transfer_set: NoiseSet, small_net: Nets, tmp_path: Path
) -> None:
    student = small_net()

    class Exploding(LabelObjective):
        def __call__(self, *arguments: object) -> torch.Tensor:
            loss = super().__call__(*arguments)
            return loss * math.inf if arguments[3][0] == order_of(0, samples=37, seed=0)[24] else loss

    path = tmp_path / "checkpoint"
    options = {"training": TRAINING, "seed": 0, "checkpoint": path, "checkpoint_every_s": 0.0}
    with pytest.raises(ModelError, match=r"the loss is inf at step 3, learning rate 0\.046; .*lower `learning_rate`"):
        fit(student, transfer_set, objective=Exploding(), **options)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in student.state_dict().values())
    assert path.exists()


def test_the_global_seed_does_not_matter_inside(transfer_set: NoiseSet, small_net: Nets) -> None:
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the global state is what this is about
        student = small_net()
        before = torch.get_rng_state()
        fit(student, transfer_set, training=TRAINING, objective=LabelObjective(), seed=0)
        assert torch.equal(torch.get_rng_state(), before)
        states.append(state_of(student))
    assert_same_bits(*states)


def test_a_single_sample_is_refused(noise_set: Sets, small_net: Nets) -> None:
    objective: Objective = LabelObjective()
    with pytest.raises(DataError):
        fit(small_net(), noise_set(1, view_count=1), training=TRAINING, objective=objective, seed=0)
