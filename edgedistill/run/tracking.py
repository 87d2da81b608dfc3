"""Experiment trackers, by Accelerate's classes: what they are told, and where their files go. Loads no torch.

A tracker only listens: it is in no step's key, and one that fails ends nothing. Accelerate itself decides nothing here;
no `Accelerator` is made, and processes, devices and threads stay as the run has them.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from edgedistill.durable import write_durably
from edgedistill.errors import DependencyError
from edgedistill.recipe import TrackerName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgedistill.distill.history import Callback, EpochInfo, StepInfo
    from edgedistill.run.summary import Summary

logger = logging.getLogger(__name__)

FOLDER = "trackers"
"""Of the run directory."""
DISTRIBUTIONS = {TrackerName.COMET_ML: "comet-ml"}
"""Names to install by, where they are not the module's."""
ONE_COUNTER = (TrackerName.WANDB, TrackerName.DVCLIVE)
"""Those whose steps must not fall; a run has several trainings, so they count calls, and the step is a number more."""
LAUNCHERS = re.compile(r"^((LOCAL_)?RANK|(LOCAL_)?WORLD_SIZE|(PMI|OMPI|MV2|ACCELERATE)_\w+)$")
"""Variables by which Accelerate would join the processes of a launch, or set their threads."""


@dataclass(frozen=True)
class Place:
    """Where one tracker writes.

    Args:
        folder: its own, below the run directory.
        project: name of the recipe.
        run: name of the recipe and a part of its hash: another recipe in the same run directory is another run.
    """

    folder: Path
    project: str
    run: str


@dataclass(frozen=True)
class Options:
    """What a tracker is started with.

    Args:
        arguments: of its class in Accelerate.
        environment: variables that are set while it is called, where the user has not set them.
    """

    arguments: dict[str, object]
    environment: dict[str, str] = field(default_factory=dict)


def require_trackers(names: Sequence[TrackerName]) -> None:
    """Refuse trackers that cannot be started; nothing is imported.

    Raises:
        DependencyError: Accelerate or the tracker's own package is not installed.
    """
    for name in names:
        extra = "'edgedistill[tracking]'"
        own = "" if name is TrackerName.TENSORBOARD else f" {DISTRIBUTIONS.get(name, name.value)}"
        lacking = [module for module in ("accelerate", name.value) if not _is_installed(module)]
        if lacking:
            found = f"not installed: {', '.join(lacking)}"
            raise DependencyError(f"tracker '{name.value}'", found=found, fix=f"pip install {extra}{own}")


def _is_installed(module: str) -> bool:
    return find_spec(module) is not None


class Tracking:
    """The trackers of one run; each is started when it is first told something.

    Args:
        writers: one for each.
    """

    def __init__(self, writers: Sequence[Writer]) -> None:
        self._writers = writers

    def of(self, step: str) -> Sequence[Callback]:
        """Return the callbacks of a step of the run: after each epoch of its training, they write what it reached."""
        return [partial(self._epoch, step)] if self._writers else []

    def end(self, summary: Summary) -> None:
        """Write the accuracy ladder and the recipe."""
        ladder, settings = ladder_of(summary), flat(summary.recipe)
        for writer in self._writers:
            writer.log(ladder, step=0)
            writer.settings(settings)

    def close(self) -> None:
        """End what was started."""
        for writer in self._writers:
            writer.close()

    def _epoch(self, step: str, info: StepInfo | EpochInfo) -> None:
        point = getattr(info, "point", None)
        if point is None:
            return
        found = {"loss": point.loss, "accuracy": point.accuracy, "learning_rate": point.learning_rate}
        values = {f"{_slug(step)}/{name}": value for name, value in found.items() if value is not None}
        for writer in self._writers:
            writer.log(values, step=info.step)


@contextmanager
def tracking(names: Sequence[TrackerName], folder: Path, *, project: str, key: str) -> Iterator[Tracking]:
    """Give the trackers of one run, and end them with it.

    Args:
        names: of the trackers; twice the same is once.
        folder: the run directory.
        project: name of the recipe.
        key: hash of the run; the same goes on in the same tracker's run.
    """
    home, run = folder / FOLDER, f"{project}-{key[:8]}"
    found = Tracking([Writer(name, Place(home / name.value, project, run)) for name in dict.fromkeys(names)])
    try:
        yield found
    finally:
        found.close()


class Writer:
    """One tracker. Whatever it raises is a warning, once; then it is left alone.

    Args:
        name: Accelerate's.
        place: where it writes.
    """

    def __init__(self, name: TrackerName, place: Place) -> None:
        self._name, self._place = name, place
        self._tracker: Any = None
        self._failed = False
        self._record = place.folder / f"{place.run}.json"

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """Write numbers, named "training/loss" and so on, at a step of the training; nothing without any."""
        if not values:
            return
        if self._name in ONE_COUNTER:
            training = next(iter(values)).partition("/")[0]
            self._attempt(lambda tracker: tracker.log({**values, f"{training}/step": step}, step=None))
        else:
            self._attempt(lambda tracker: tracker.log(dict(values), step=step))

    def settings(self, values: Mapping[str, bool | int | float | str]) -> None:
        """Write the settings, once in the life of the tracker's run."""
        if self._recorded().get("settings"):
            return
        self._attempt(lambda tracker: tracker.store_init_configuration(dict(values)))
        if not self._failed:
            self._note(settings=True)

    def close(self) -> None:
        """End it, if it was started."""
        if self._tracker is not None:
            self._attempt(lambda tracker: tracker.finish())
            self._tracker = None

    def _attempt(self, work: Callable[[Any], object]) -> None:
        if self._failed:
            return
        try:
            options = options_of(self._name, self._place, known=self._recorded().get("id"))
            # what it prints is not the verb's answer
            with _environment(options.environment), redirect_stdout(sys.stderr):
                if self._tracker is None:
                    self._tracker = self._started(options)
                work(self._tracker)
        except Exception as error:  # noqa: BLE001 - other people's code, which must not end a run
            self._failed = True
            told = f"{type(error).__name__}: {error}"
            logger.warning("tracker '%s' failed and writes nothing more; the run goes on: %s", self._name.value, told)

    def _started(self, options: Options) -> Any:  # noqa: ANN401 - Accelerate has no types
        self._place.folder.mkdir(parents=True, exist_ok=True)
        tracker = _class_of(self._name)(**options.arguments)
        tracker.start()
        if self._name is TrackerName.MLFLOW:  # which alone chooses the identity of a run itself
            self._note(id=str(tracker.tracker.info.run_id))
        return tracker

    def _recorded(self) -> dict[str, object]:
        try:
            found = json.loads(self._record.read_text("utf-8"))
        except (OSError, ValueError):  # not there yet, or somebody edited it
            return {}
        return found if isinstance(found, dict) else {}

    def _note(self, **found: object) -> None:
        write_durably(self._record, json.dumps({**self._recorded(), **found}).encode())


def _class_of(name: TrackerName) -> Callable[..., Any]:
    """Return Accelerate's class of a tracker; what it logs by wants a `PartialState`: one of this process alone."""
    with _without_launcher():
        from accelerate.state import PartialState  # noqa: PLC0415 - optional, and loads torch
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS  # noqa: PLC0415 - as above

        PartialState(cpu=True)
    return LOGGER_TYPE_TO_CLASS[name.value]  # type: ignore[no-any-return]


def options_of(name: TrackerName, place: Place, *, known: object = None) -> Options:
    """Return what a tracker is started with: files in its place, nothing sent anywhere.

    A user who has set a tracker's own variables (`MLFLOW_TRACKING_URI`, `WANDB_MODE`, ...) keeps them.

    Args:
        name: Accelerate's.
        place: where it writes.
        known: the identity of its run, from an earlier start; only MLflow has one.
    """
    folder = str(place.folder.resolve())
    arguments: dict[str, object] = {"run_name": place.project}
    environment: dict[str, str] = {}
    match name:
        case TrackerName.TENSORBOARD:
            arguments = {"run_name": place.run, "logging_dir": folder}
        case TrackerName.MLFLOW:
            arguments = {"experiment_name": place.project, "run_name": place.run, "run_id": known}
            environment["MLFLOW_TRACKING_URI"] = place.folder.resolve().as_uri()
            environment["MLFLOW_ALLOW_FILE_STORE"] = "true"
        case TrackerName.WANDB:
            arguments |= {"name": place.run, "id": place.run, "dir": folder}
            environment["WANDB_MODE"] = "offline"
        case TrackerName.AIM:
            arguments = {"run_name": place.run, "logging_dir": folder, "experiment": place.project}
        case TrackerName.COMET_ML:
            environment |= {"COMET_START_ONLINE": "0", "COMET_OFFLINE_DIRECTORY": folder}
        case TrackerName.CLEARML:
            arguments |= {"task_name": place.run, "auto_connect_frameworks": False, "auto_connect_arg_parser": False}
            environment |= {"CLEARML_OFFLINE_MODE": "1", "CLEARML_CACHE_DIR": folder}
        case TrackerName.DVCLIVE:
            own = str(place.folder.resolve() / place.run)
            arguments = {"dir": own, "resume": True, "save_dvc_exp": False, "dvcyaml": None}
        case TrackerName.SWANLAB:
            mode = os.environ.get("SWANLAB_MODE", "offline")
            arguments |= {"experiment_name": place.run, "logdir": folder, "mode": mode}
        case TrackerName.TRACKIO:
            arguments |= {"name": place.run, "resume": "allow"}
            environment["TRACKIO_DIR"] = folder
    return Options(arguments, environment)


def ladder_of(summary: Summary) -> dict[str, float]:
    """Return the ladder's values by name: "ladder/student", "ladder/artifact/arm-onnxruntime/raspberry-pi-4/host"."""
    found: dict[str, float] = {}
    for rung in summary.ladder:
        if rung.value is None:
            continue
        where = (rung.target, rung.execution.value) if rung.target else ()
        name = _slug("/".join(("ladder", rung.stage, *where)))
        same = sum(other == name or other.startswith(f"{name}/") for other in found)
        found[f"{name}/{same + 1}" if same else name] = rung.value  # several devices of one target
    return found


def flat(document: Mapping[str, object], *, above: str = "") -> dict[str, bool | int | float | str]:
    """Return a recipe by dotted keys; what is no number, truth value or text becomes JSON text."""
    found: dict[str, bool | int | float | str] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            found |= flat(value, above=f"{above}{key}.")
        else:
            found[above + key] = value if isinstance(value, (bool, int, float, str)) else json.dumps(value)
    return found


def _slug(text: str) -> str:
    return re.sub(r"[^\w./-]+", "-", text)


@contextmanager
def _environment(defaults: Mapping[str, str]) -> Iterator[None]:
    """Set variables that are not set, for a while."""
    added = [name for name in defaults if name not in os.environ]
    os.environ.update({name: defaults[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _without_launcher() -> Iterator[None]:
    """Hide a launcher's variables, for a while."""
    hidden = {name: value for name, value in os.environ.items() if LAUNCHERS.match(name)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)
