"""Every verb: what it prints, what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import edgedistill as package
from edgedistill import doctor
from edgedistill.bench.recording import recording_schema
from edgedistill.devices.base import DeviceFacts
from edgedistill.devices.emulated import EmulatedArm
from edgedistill.evaluate.executor import Execution
from edgedistill.recipe import recipe_from_yaml, recipe_schema

if TYPE_CHECKING:
    from pathlib import Path

Call = Callable[..., Any]
VERBS = (
    ("init",),
    ("doctor",),
    ("check",),
    ("run",),
    ("distill",),
    ("quantize",),
    ("build",),
    ("verify",),
    ("bench",),
    ("bench", "recipe"),
    ("bench", "artifact"),
    ("bench", "compare"),
    ("bench", "import"),
    ("eval",),
    ("report",),
    ("schema",),
    ("losses",),
    ("losses", "show"),
    ("targets",),
    ("targets", "show"),
    ("targets", "check"),
    ("devices", "list"),
    ("devices", "probe"),
    ("devices", "doctor"),
    ("devices", "clean"),
    ("devices", "emulate"),
    ("capture", "list"),
    ("capture", "show"),
    ("capture", "stats"),
    ("capture", "delete"),
    ("capture", "grade"),
    ("capture", "grades"),
    ("capture", "grades", "show"),
    ("capture", "grades", "compare"),
    ("capture", "grades", "report"),
    ("devices", "emulate", "start"),
    ("devices", "emulate", "stop"),
    ("devices", "emulate", "list"),
    ("capture", "import"),
    ("capture", "export"),
    ("capture", "split"),
    ("capture", "prune"),
    ("capture", "serve"),
    ("capture", "label"),
    ("capture", "generate"),
)


def test_these_are_all_verbs(edgedistill: Call) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", edgedistill("--help").stdout)
    listed = re.findall(r"(?m)^│ ([a-z]+) +[A-Z]", text[text.index("Commands") :])
    assert sorted(listed) == sorted({verb[0] for verb in VERBS})


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_has_json_and_says_what_it_does(edgedistill: Call, verb: tuple[str, ...]) -> None:
    ended = edgedistill(*verb, "--help")
    assert ended.exit_code == 0
    assert "--json" in ended.stdout
    assert ended.stdout.splitlines()[3].strip()


def test_version(edgedistill: Call) -> None:
    assert edgedistill("--version").stdout == f"edgedistill {package.__version__}\n"


def test_a_verb_that_does_not_exist(edgedistill: Call) -> None:
    ended = edgedistill("destill")
    assert ended.exit_code == 2
    assert "distill" in ended.stderr
    assert ended.stdout == ""


# --- init


def test_init_writes_a_recipe_that_is_valid_and_its_schema(edgedistill: Call, tmp_path: Path) -> None:
    path = tmp_path / "new" / "recipe.yaml"
    ended = edgedistill("init", path)
    assert ended.exit_code == 0
    assert recipe_from_yaml(path).name == "my-first-run"
    assert json.loads((path.parent / "recipe.schema.json").read_text("utf-8")) == recipe_schema()
    assert f"edgedistill run {path}" in ended.stdout


def test_init_writes_over_nothing(edgedistill: Call, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: mine\n", "utf-8")
    ended = edgedistill("init", path)
    assert ended.exit_code == 2
    assert "it is there already" in ended.stderr
    assert "--force" in ended.stderr
    assert path.read_text("utf-8") == "name: mine\n"
    assert list(tmp_path.iterdir()) == [path]


def test_init_again_changes_nothing_and_is_no_error(edgedistill: Call, tmp_path: Path) -> None:
    assert edgedistill("init", tmp_path / "recipe.yaml").exit_code == 0
    assert edgedistill("init", tmp_path / "recipe.yaml").exit_code == 0


def test_init_force(edgedistill: Call, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: mine\n", "utf-8")
    ended = edgedistill("init", path, "--force", "--json")
    assert ended.document() == {"written": [str(path), str(tmp_path / "recipe.schema.json")]}
    assert recipe_from_yaml(path).name == "my-first-run"


def test_init_list(edgedistill: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    listed = edgedistill("init", "--list", "--json").document()
    assert "fashion-mnist" in listed["data.source"]
    assert "residual" in listed["teacher.source, student.source"]
    assert "builtin:fashion-mnist-residual24" in listed["teacher.weights, student.weights"]
    assert "arm-onnxruntime/raspberry-pi-5" in listed["targets"]
    lines = edgedistill("init", "--list").stdout.splitlines()  # a long one may be wrapped
    assert [line.partition(":")[0] for line in lines if line.partition(":")[0] in listed] == list(listed)
    assert list(tmp_path.iterdir()) == []


def test_the_starter_names_what_there_is(edgedistill: Call, tmp_path: Path) -> None:
    edgedistill("init", tmp_path / "recipe.yaml")
    recipe = recipe_from_yaml(tmp_path / "recipe.yaml")
    listed = edgedistill("init", "--list", "--json").document()
    assert recipe.teacher.weights in listed["teacher.weights, student.weights"].split(", ")
    assert f"{recipe.targets[0].target}/{recipe.targets[0].profile}" in listed["targets"].split(", ")


# --- schema, targets, report


def test_schema(edgedistill: Call) -> None:
    assert edgedistill("schema").document() == recipe_schema()
    assert edgedistill("schema", "--json").document() == recipe_schema()
    assert edgedistill("schema", "--measurement").document() == recording_schema()


def test_targets_lists_ours(edgedistill: Call) -> None:
    listed = edgedistill("targets", "--json").document()
    assert {"arm-onnxruntime", "jetson-tensorrt", "phone-coreml"} <= {entry["target"] for entry in listed}
    lines = edgedistill("targets").stdout.splitlines()
    assert len(lines) == 1 + len(listed)
    assert lines[0].split() == ["target", "profile", "device"]


def test_targets_show(edgedistill: Call) -> None:
    document = edgedistill("targets", "show", "arm-onnxruntime", "--json").document()
    assert document["target"] == "arm-onnxruntime"
    assert document["profiles"]
    for profile in document["profiles"]:
        assert profile["quantization"]["activation"] == "uint8"
    text = edgedistill("targets", "show", "arm-onnxruntime").stdout
    assert "quantization.activation" in text


def test_an_unknown_target(edgedistill: Call) -> None:
    ended = edgedistill("targets", "show", "arm-onxruntime")
    assert ended.exit_code == 2
    assert "did you mean 'arm-onnxruntime'?" in ended.stderr


@pytest.mark.parametrize("content", [None, "{}", "no json"])
def test_report_of_a_folder_that_is_no_run(edgedistill: Call, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "summary.json").write_text(content, "utf-8")
    ended = edgedistill("report", tmp_path)
    assert ended.exit_code == 2
    assert str(tmp_path) in ended.stderr
    assert "summary.json" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- eval


@pytest.mark.parametrize("options", [(), ("--data", "shapes", "--recipe", "a.yaml")])
def test_eval_wants_one_source_of_samples(edgedistill: Call, tmp_path: Path, options: tuple[str, ...]) -> None:
    ended = edgedistill("eval", tmp_path, *options)
    assert ended.exit_code == 2
    assert "either --data SOURCE or --recipe RECIPE" in ended.stderr


def test_eval_of_a_folder_that_is_no_artifact(edgedistill: Call, tmp_path: Path) -> None:
    ended = edgedistill("eval", tmp_path, "--data", "shapes")
    assert ended.exit_code == 2
    assert "manifest.json" in ended.stderr


# --- doctor, devices (what `devices probe`, `doctor` and `emulate start` find on a device is in tests/devices)


def test_doctor(edgedistill: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEDISTILL_CACHE", str(tmp_path / "cache"))
    ended = edgedistill("doctor", "--json")
    found = {check["name"]: check for check in ended.document()}
    assert {"python", "torch", "onnxruntime", "emulated ARM64 board", "cache folder", "disk space"} <= set(found)
    assert str(tmp_path) in found["cache folder"]["found"]
    missing = [name for name, check in found.items() if check["state"] == "missing"]
    assert ended.exit_code == (2 if missing else 0)
    lines = edgedistill("doctor").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [check["state"] for check in found.values()]


def test_what_is_missing_is_exit_code_2(edgedistill: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED_BYTES", 10**18)
    ended = edgedistill("doctor")
    assert ended.exit_code == 2
    assert "missing  disk space" in ended.stdout.replace("    ", "  ").replace("   ", "  ")


def test_devices_list(edgedistill: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEDISTILL_CACHE", str(tmp_path))
    document = edgedistill("devices", "list", "--json").document()
    assert [device["name"] for device in document["devices"]] == ["local", "emulated"]
    assert [device["ready"] for device in document["devices"]] == [True, False]
    assert "cortex-a76" in document["emulated_cpu_models"]
    assert "cortex-a76" in edgedistill("devices", "list").stdout
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_cpu_model(edgedistill: Call) -> None:
    ended = edgedistill("devices", "emulate", "--cpu-model", "cortex-a75")
    assert ended.exit_code == 2
    assert "did you mean 'cortex-a7" in ended.stderr


def test_devices_emulate_shows_the_boards_facts(edgedistill: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    board = DeviceFacts("emulated:max", "aarch64", Execution.EMULATED, {"onnxruntime": "1.2.3", "cores": "4"})
    monkeypatch.setattr(EmulatedArm, "describe", lambda self: replace(board, name=self.name))
    assert edgedistill("devices", "emulate", "--cpu-model", "max", "--json").document() == {
        "name": "emulated:max",
        "machine": "aarch64",
        "execution": "emulated",
        "facts": {"onnxruntime": "1.2.3", "cores": "4"},
    }
    assert edgedistill("devices", "emulate").stdout.splitlines() == [
        "emulated:cortex-a76 (aarch64, emulated)",
        "  onnxruntime  1.2.3",
        "  cores        4",
    ]
