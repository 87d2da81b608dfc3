"""Trackers: what TensorBoard reads back of a run is what the run found, and nothing that they do changes it."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, ClassVar

import pytest
from recipes import quick_document, write_recipe

import edgedistill.run.tracking as tracking_module
from edgedistill.distill.history import EpochInfo, HistoryPoint, StepInfo
from edgedistill.errors import DependencyError, RecipeError
from edgedistill.launcher import VARIABLES
from edgedistill.recipe import TrackerName, recipe_from_mapping
from edgedistill.run.pipeline import Stage, execute, plan
from edgedistill.run.summary import Summary, summary_from_file
from edgedistill.run.tracking import Place, flat, ladder_of, options_of, require_trackers, tracking

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("tensorboard", reason="the extra `tracking` is not installed")
pytest.importorskip("accelerate", reason="the extra `tracking` is not installed")

EPOCH = EpochInfo("distill", 4, 8, HistoryPoint(1.0, 0.5, 0.75, 0.1))


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return every scalar by its tag, as TensorBoard itself reads the files of one run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415 - optional

    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(item.step, item.value) for item in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def only_run(folder: Path) -> Path:
    (found,) = (path for path in (folder / "trackers/tensorboard").iterdir() if path.is_dir())
    return found


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a recipe that was run until its program, in two commands."""
    folder = tmp_path_factory.mktemp("tracked")
    document = {**quick_document(), "trackers": ["tensorboard"]}
    document["distill"] = {**quick_document()["distill"], "baseline": True}  # type: ignore[dict-item]
    recipe = write_recipe(folder, document)
    for stage in (Stage.DISTILL, Stage.QUANTIZE):
        execute(plan(recipe, overrides=[f"cache.folder={folder / 'cache'}"], folder=folder / "run", until=stage))
    return folder


def summary_of(folder: Path) -> Summary:
    return summary_from_file(folder / "run/summary.json")


def test_tensorboard_reads_the_history_of_every_training(tracked: Path) -> None:
    read, curves = scalars(only_run(tracked / "run")), {curve.name: curve for curve in summary_of(tracked).curves}
    (quantized,) = {tag.split("/")[0] for tag in read if tag.startswith("quantize")}
    for step, stage in (("baseline", "student-alone"), ("distill", "student"), (quantized, "finetune")):
        points = curves[stage].points
        assert len(points) >= 1
        for name in ("loss", "accuracy", "learning_rate"):
            values = read[f"{step}/{name}"]
            assert [value for _, value in values] == pytest.approx([getattr(point, name) for point in points])
            steps = [at for at, _ in values]
            assert steps == sorted(set(steps))
            assert steps[0] > 0


def test_tensorboard_reads_the_ladder_and_the_recipe(tracked: Path) -> None:
    run, summary = only_run(tracked / "run"), summary_of(tracked)
    read = {tag: values[-1][1] for tag, values in scalars(run).items() if tag.startswith("ladder/")}
    assert read == pytest.approx(ladder_of(summary))
    assert {"ladder/teacher", "ladder/student-alone", "ladder/student"} < set(read)
    (settings,) = run.glob("*/hparams.yml")  # once, though there were two commands
    assert "distill.epochs: 2.0\n" in settings.read_text("utf-8")


def test_a_run_in_which_nothing_is_done_writes_nothing(tracked: Path) -> None:
    def contents() -> set[tuple[Path, int]]:
        return {(path, path.stat().st_size) for path in (tracked / "run/trackers").rglob("*") if path.is_file()}

    before = contents()
    overrides = [f"cache.folder={tracked / 'cache'}"]
    execute(plan(tracked / "recipe.yaml", overrides=overrides, folder=tracked / "run", until=Stage.QUANTIZE))
    assert contents() == before


@pytest.mark.parametrize("trackers", ["[]", '["tensorboard", "tensorboard"]'])
def test_no_step_depends_on_trackers(tracked: Path, trackers: str) -> None:
    overrides = [f"cache.folder={tracked / 'cache'}"]
    before = plan(tracked / "recipe.yaml", overrides=overrides, folder=tracked / "run")
    after = plan(tracked / "recipe.yaml", overrides=[*overrides, f"trackers={trackers}"], folder=tracked / "run")
    assert [(step.name, step.key) for step in before.stages] == [(step.name, step.key) for step in after.stages]
    assert {step.state for step in after.stages if step.stage in (Stage.DISTILL, Stage.QUANTIZE)} == {"cached"}


def test_the_same_run_goes_on_and_another_recipe_is_another_run(tmp_path: Path) -> None:
    for key, step in (("a" * 64, 4), ("a" * 64, 8), ("b" * 64, 4)):
        with tracking([TrackerName.TENSORBOARD], tmp_path, project="quick", key=key) as found:
            (told,) = found.of("distill")
            told(StepInfo(0, 8, 0, 0, 0.1))  # of which nothing is written
            told(EpochInfo("distill", step, 8, EPOCH.point))
    home = tmp_path / "trackers/tensorboard"
    assert [at for at, _ in scalars(home / "quick-aaaaaaaa")["distill/loss"]] == [4, 8]
    assert scalars(home / "quick-bbbbbbbb")["distill/loss"] == [(4, 0.5)]


def test_accelerate_does_not_join_the_processes_of_a_launch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from accelerate.state import PartialState  # noqa: PLC0415 - optional

    PartialState._reset_state()
    for name in (*VARIABLES, "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2" if name.endswith("SIZE") else "0")
    with tracking([TrackerName.TENSORBOARD], tmp_path, project="quick", key="a" * 64) as found:
        found.of("distill")[0](EPOCH)
    assert PartialState().num_processes == 1
    assert os.environ["WORLD_SIZE"] == "2"
    assert scalars(tmp_path / "trackers/tensorboard/quick-aaaaaaaa")["distill/accuracy"] == [(4, 0.75)]


def test_trackers_with_one_counter_get_the_step_as_a_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Listening:
        heard: ClassVar[list[tuple[object, int | None]]] = []

        def __init__(self, **_named: object) -> None:
            pass

        def start(self) -> None:
            pass

        def log(self, values: object, step: int | None) -> None:
            self.heard.append((values, step))

        def finish(self) -> None:
            self.heard.append(("end", None))

    monkeypatch.setattr(tracking_module, "_class_of", lambda _name: Listening)
    with tracking([TrackerName.WANDB], tmp_path, project="quick", key="a" * 64) as found:
        for step in ("baseline", "distill"):
            found.of(step)[0](EPOCH)
    point = {"loss": 0.5, "accuracy": 0.75, "learning_rate": 0.1, "step": 4}
    assert Listening.heard == [
        ({f"baseline/{name}": value for name, value in point.items()}, None),
        ({f"distill/{name}": value for name, value in point.items()}, None),
        ("end", None),
    ]


def test_mlflow_goes_on_in_its_run(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    from mlflow.tracking import MlflowClient  # noqa: PLC0415 - optional

    for step in (4, 8):
        with tracking([TrackerName.MLFLOW], tmp_path, project="quick", key="a" * 64) as found:
            found.of("distill")[0](EpochInfo("distill", step, 8, EPOCH.point))
            found.end(SimpleNamespace(ladder=[], recipe={"seed": 0}))  # type: ignore[arg-type]
    client = MlflowClient(tracking_uri=(tmp_path / "trackers/mlflow").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("quick").experiment_id])
    assert [(item.step, item.value) for item in client.get_metric_history(run.info.run_id, "distill/loss")] == [
        (4, 0.5),
        (8, 0.5),
    ]
    assert (run.data.params, run.info.run_name) == ({"seed": "0"}, "quick-aaaaaaaa")


class Broken:
    """A tracker whose disk is full after its start."""

    def __init__(self, *_positional: object, **_named: object) -> None:
        self.tracker = None

    def start(self) -> None:
        print("welcome")  # noqa: T201 - as trackers do

    def log(self, values: object, step: int) -> None:
        raise OSError(28, f"no space for {step} of {values}")


def test_a_tracker_that_fails_is_one_warning_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tracking_module, "_class_of", lambda _name: Broken)
    recipe = write_recipe(tmp_path, {**quick_document(), "trackers": ["tensorboard"]})
    planned = plan(
        recipe, overrides=[f"cache.folder={tmp_path / 'cache'}"], folder=tmp_path / "run", until=Stage.DISTILL
    )
    with caplog.at_level(logging.WARNING):
        summary = execute(planned)
    assert {record.name: record.state for record in summary.stages} == {"teach": "done", "distill": "done"}
    (warning,) = (record.getMessage() for record in caplog.records if "tracker" in record.name + record.getMessage())
    assert warning.startswith("tracker 'tensorboard' failed and writes nothing more; the run goes on: OSError")
    assert capsys.readouterr().out == ""


def test_an_unknown_tracker_is_refused_with_the_nearest() -> None:
    document = {**quick_document(), "trackers": ["tensorbord"]}
    with pytest.raises(RecipeError, match=r"'trackers\.0' is \"tensorbord\"; wanted 'aim'.*nearest is 'tensorboard'\."):
        recipe_from_mapping(document)


def test_our_names_are_those_of_accelerate() -> None:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS  # noqa: PLC0415 - optional

    assert {name.value for name in TrackerName} == set(LOGGER_TYPE_TO_CLASS)


@pytest.mark.parametrize(
    ("tracker", "missing", "told"),
    [
        ("tensorboard", {"accelerate"}, "not installed: accelerate. pip install 'edgedistill[tracking]'."),
        ("tensorboard", {"tensorboard"}, "not installed: tensorboard. pip install 'edgedistill[tracking]'."),
        ("comet_ml", {"comet_ml"}, "not installed: comet_ml. pip install 'edgedistill[tracking]' comet-ml."),
        ("mlflow", {"accelerate", "mlflow"}, "accelerate, mlflow. pip install 'edgedistill[tracking]' mlflow."),
    ],
)
def test_a_missing_package_is_refused_when_the_run_is_planned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tracker: str, missing: set[str], told: str
) -> None:
    found = {"accelerate", tracker} - missing
    monkeypatch.setattr(tracking_module, "_is_installed", lambda name: name in found)
    with pytest.raises(DependencyError) as caught:
        plan(write_recipe(tmp_path, {**quick_document(), "trackers": [tracker]}), folder=tmp_path / "run")
    assert str(caught.value).endswith(told)
    assert not (tmp_path / "run").exists()


def test_what_is_installed_is_not_refused() -> None:
    require_trackers([TrackerName.TENSORBOARD])
    assert importlib.util.find_spec("no_such_tracker") is None
    assert not tracking_module._is_installed("no_such_tracker")


@pytest.mark.parametrize("name", list(TrackerName))
def test_every_tracker_is_told_to_write_into_the_run_directory(name: TrackerName, tmp_path: Path) -> None:
    options = options_of(name, Place(tmp_path / name, "quick", "quick-aaaaaaaa"))
    assert str(tmp_path / name) in f"{options.arguments} {options.environment}"


def test_a_users_own_variable_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("TRACKIO_DIR", raising=False)
    with tracking_module._environment({"WANDB_MODE": "offline", "TRACKIO_DIR": "here"}):
        assert (os.environ["WANDB_MODE"], os.environ["TRACKIO_DIR"]) == ("online", "here")
    assert os.environ["WANDB_MODE"] == "online"
    assert "TRACKIO_DIR" not in os.environ


def test_settings_are_flat() -> None:
    document = {"seed": 0, "data": {"classes": ["a"], "max_per_class": None, "views": {"flip": True}}, "options": {}}
    assert flat(document) == {
        "seed": 0,
        "data.classes": json.dumps(["a"]),
        "data.max_per_class": "null",
        "data.views.flip": True,
    }


def test_the_ladder_has_a_name_for_each_device() -> None:
    def rung(stage: str, value: float | None, target: str | None = None) -> SimpleNamespace:
        return SimpleNamespace(stage=stage, value=value, target=target, execution=SimpleNamespace(value="device"))

    board = "arm-onnxruntime/raspberry-pi-4"
    rungs = [rung("student", 0.9), rung("artifact", 0.8, board), rung("artifact", 0.7, board), rung("artifact", None)]
    assert ladder_of(SimpleNamespace(ladder=rungs)) == {  # type: ignore[arg-type]
        "ladder/student": 0.9,
        f"ladder/artifact/{board}/device": 0.8,
        f"ladder/artifact/{board}/device/2": 0.7,
    }
