"""`run` and the verbs of one stage, with a pipeline that does nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgedistill.distill.cache_files import Sizes
from edgedistill.errors import DataError, GateError
from edgedistill.evaluate.executor import Execution
from edgedistill.recipe import recipe_from_yaml
from edgedistill.run import forecast, pipeline
from edgedistill.run.forecast import Forecast
from edgedistill.run.summary import GateRecord, Rung, StageRecord, Summary

Call = Callable[..., Any]
STARTER = Path(pipeline.__file__).parents[1] / "starter.yaml"
RECIPE = recipe_from_yaml(STARTER)


def summary_of(folder: Path, *, passed: bool = True, recipe: object = None) -> Summary:
    summary = Summary(
        name="small",
        recipe=RECIPE.model_dump(mode="json") if recipe is None else {"other": recipe},
        classes=("a", "b"),
        versions={},
        machine={},
        ladder=(
            Rung(stage="teacher", value=0.95, n=1000, execution=Execution.SIMULATED, executor="torch"),
            Rung(stage="student", value=0.93, n=1000, execution=Execution.SIMULATED, executor="torch"),
        ),
        artifacts=(),
        parity=(),
        gates=(GateRecord(name="agreement", passed=passed, found="98 %", wanted="99 %"),),
        stages=(StageRecord(name="teach", key="k", state="done", wall_s=1.0, cpu_s=1.0),),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(summary.model_dump_json(), "utf-8")
    return summary


class FakePipeline:
    """Records what the command line asks for; its plan has two stages in the given state."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.state = "to-do"
        self.asked: dict[str, object] = {}
        self.error: Exception | None = None
        self.executed = 0
        monkeypatch.setattr(pipeline, "plan", self._plan)
        monkeypatch.setattr(pipeline, "execute", self._execute)
        self.forecast: Forecast | None = None
        monkeypatch.setattr(forecast, "forecast", lambda _plan: self.forecast)

    def _plan(self, recipe: Path, **options: object) -> SimpleNamespace:
        self.asked = {"recipe": recipe, **options}
        stages = [SimpleNamespace(name=name, key="k" * 8, state=self.state, note="") for name in ("teach", "distill")]
        return SimpleNamespace(recipe=RECIPE, folder=self.folder, stages=stages)

    def _execute(self, _plan: SimpleNamespace, *, progress: object) -> Summary:
        assert progress is not None
        self.executed += 1
        summary = summary_of(self.folder, passed=self.error is None)
        if self.error is not None:
            raise self.error
        return summary


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePipeline:
    return FakePipeline(tmp_path / "run", monkeypatch)


def test_run_does_what_is_to_do_and_shows_the_ladder(edgedistill: Call, fake: FakePipeline) -> None:
    ended = edgedistill("run", "r.yaml", "seed=3", "distill.epochs=1", "--folder", fake.folder)
    assert ended.exit_code == 0
    assert fake.executed == 1
    assert fake.asked == {
        "recipe": Path("r.yaml"),
        "overrides": ["seed=3", "distill.epochs=1"],
        "folder": fake.folder,
        "until": pipeline.Stage.REPORT,
    }
    lines = ended.stdout.splitlines()
    assert lines[1].startswith("Teacher")
    assert "95.00 %" in lines[1]
    assert "-2.00" in lines[2].replace("\N{MINUS SIGN}", "-")
    assert "passed: agreement: 98 %, wanted 99 %" in lines
    assert lines[-1] == f"results: {fake.folder}"
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("verb", "stage"),
    [
        ("distill", "distill"),
        ("quantize", "quantize"),
        ("build", "build"),
        ("verify", "verify"),
        ("bench", "bench"),
        ("run", "report"),
    ],
)
def test_each_verb_ends_with_its_stage(edgedistill: Call, fake: FakePipeline, verb: str, stage: str) -> None:
    assert edgedistill(verb, "r.yaml").exit_code == 0
    assert fake.asked["until"] == pipeline.Stage(stage)
    assert fake.asked["overrides"] == ()
    assert fake.asked["folder"] is None


def test_json_is_the_summary_and_nothing_else(edgedistill: Call, fake: FakePipeline) -> None:
    document = edgedistill("run", "r.yaml", "--json").document()
    assert Summary.model_validate_json((fake.folder / "summary.json").read_text("utf-8")) == (
        Summary.model_validate(document)
    )


def test_a_dry_run_says_what_the_teachers_outputs_will_take(edgedistill: Call, fake: FakePipeline) -> None:
    fake.forecast = Forecast(60_000, 4, 60_000, Sizes(4_800_000, {"stages.1": 1_200_000_000}), 51_000_000_000)
    ended = edgedistill("run", "r.yaml", "--dry-run")
    assert ended.stdout.splitlines()[-1] == (
        "teacher outputs: 60,000 samples in 4 views, 25 % found; logits 4.8 MB, 'stages.1' 1.2 GB; 51 GB free"
    )
    document = edgedistill("run", "r.yaml", "--dry-run", "--json").document()
    assert document["teacher_outputs"] == {
        "samples": 60_000,
        "views": 4,
        "found": 60_000,
        "sizes": {"logits": 4_800_000, "features": {"stages.1": 1_200_000_000}},
        "free_bytes": 51_000_000_000,
    }


def test_a_dry_run_does_nothing(edgedistill: Call, fake: FakePipeline) -> None:
    ended = edgedistill("run", "r.yaml", "--dry-run")
    assert ended.exit_code == 0
    assert fake.executed == 0
    assert [line.split() for line in ended.stdout.splitlines()[1:]] == [
        ["stage", "state", "note"],
        ["teach", "to-do"],
        ["distill", "to-do"],
    ]
    document = edgedistill("run", "r.yaml", "--dry-run", "--json").document()
    assert document == {
        "name": "my-first-run",
        "folder": str(fake.folder),
        "stages": [
            {"name": "teach", "key": "kkkkkkkk", "state": "to-do", "note": ""},
            {"name": "distill", "key": "kkkkkkkk", "state": "to-do", "note": ""},
        ],
    }


def test_nothing_to_do(edgedistill: Call, fake: FakePipeline) -> None:
    fake.state = "cached"
    summary_of(fake.folder)
    ended = edgedistill("run", "r.yaml")
    assert ended.exit_code == 0
    assert fake.executed == 0
    assert ended.stdout.splitlines()[0] == "nothing to do: every stage is up to date"
    assert "Teacher" in ended.stdout
    assert edgedistill("run", "r.yaml", "--json").document()["name"] == "small"


def test_a_gate_that_failed_fails_again(edgedistill: Call, fake: FakePipeline) -> None:
    fake.state = "cached"
    summary_of(fake.folder, passed=False)
    ended = edgedistill("run", "r.yaml")
    assert ended.exit_code == 3
    assert fake.executed == 0
    assert "FAILED: agreement: 98 %, wanted 99 %" in ended.stdout
    assert ended.stderr == f"error: run '{fake.folder}': agreement: 98 %, wanted 99 %.\n"


@pytest.mark.parametrize("left", ["nothing", "damaged", "another recipe"])
def test_without_this_recipes_summary_it_is_written_again(edgedistill: Call, fake: FakePipeline, left: str) -> None:
    fake.state = "cached"
    if left == "damaged":
        fake.folder.mkdir()
        (fake.folder / "summary.json").write_text("{", "utf-8")
    elif left == "another recipe":
        summary_of(fake.folder, recipe="other")
    assert edgedistill("run", "r.yaml").exit_code == 0
    assert fake.executed == 1


def test_a_failed_gate_shows_the_result_before_the_error(edgedistill: Call, fake: FakePipeline) -> None:
    fake.error = GateError("agreement", found="98 %", wanted="99 %")
    ended = edgedistill("run", "r.yaml")
    assert ended.exit_code == 3
    assert "Teacher" in ended.stdout
    assert "FAILED: agreement" in ended.stdout
    assert ended.stderr == "error: agreement: 98 %; wanted 99 %.\n"
    document = edgedistill("run", "r.yaml", "--json").document()
    assert document["gates"][0]["passed"] is False


def test_an_error_leaves_standard_output_empty(edgedistill: Call, fake: FakePipeline) -> None:
    fake.error = DataError("image 'a.png'", found="no image")
    ended = edgedistill("run", "r.yaml")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr == "error: image 'a.png': no image.\n"
    assert edgedistill("run", "r.yaml", "--json").document()["error"] == "DataError"


def test_an_interruption_is_resumable(edgedistill: Call, fake: FakePipeline) -> None:
    fake.error = KeyboardInterrupt()  # type: ignore[assignment]
    ended = edgedistill("run", "r.yaml")
    assert ended.exit_code == 130
    assert ended.stderr == "error: interrupted; run the same command again to go on\n"


def test_a_recipe_with_errors(edgedistill: Call, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(STARTER.read_text("utf-8").replace("epochs: 12", "epoch: 12"), "utf-8")
    ended = edgedistill("run", path, "--dry-run")
    assert ended.exit_code == 2
    assert "unknown key 'distill.epoch': did you mean 'epochs'?" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


AGAIN = """
import sys
from pathlib import Path
import edgedistill.run.pipeline as pipeline
sys.path.insert(0, sys.argv[1])
import test_stages as fakes
import pytest
fake = fakes.FakePipeline(Path(sys.argv[2]), pytest.MonkeyPatch())
fake.state = "cached"
sys.argv = ["edgedistill", "run", "r.yaml"]
from edgedistill.cli import main
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "onnx", "onnxruntime"}))
"""


def test_a_second_run_loads_no_torch(tmp_path: Path) -> None:
    summary_of(tmp_path)
    completed = subprocess.run(
        [sys.executable, "-c", AGAIN, str(Path(__file__).parent), str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = completed.stdout.splitlines()
    assert lines[0] == "nothing to do: every stage is up to date"
    assert lines[-1] == ""
