"""Artifacts of models that hear: the features travel with them, or the target refuses."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from small_models import program_of, separable
from wav_files import tones, write_wav

from edgedistill.data.preprocessing import AudioPreprocessing
from edgedistill.data.sound import preprocess
from edgedistill.devices.arm_environment import environment_state
from edgedistill.devices.emulated import EmulatedArm
from edgedistill.errors import UnsupportedError
from edgedistill.quantize.spec import BiasType, QuantSpec
from edgedistill.targets.base import Package, profile_named
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.targets.base import Artifact

FEATURES = AudioPreprocessing(seconds=0.34, bands=16, cepstra=16, mean=(-10.0,), std=(20.0,))


def package(raw: np.ndarray) -> Package:
    return Package(
        name="hears", classes=tuple("abcde"), preprocessing=FEATURES, golden_raw=raw, synthetic="tones of a test"
    )


def features(raw: np.ndarray) -> np.ndarray:
    return preprocess(raw, FEATURES.model_dump(mode="json"))


def program_for(raw: np.ndarray, spec: QuantSpec) -> QuantizedProgram:
    return program_of(separable(), torch.from_numpy(features(raw)), spec)


@pytest.fixture(scope="module")
def sounds() -> np.ndarray:
    return tones(32, samples=FEATURES.raw_shape[0])


@pytest.fixture(scope="module")
def program(sounds: np.ndarray) -> QuantizedProgram:
    return program_for(sounds, QuantSpec())


def build(program: QuantizedProgram, sounds: np.ndarray, into: Path, target: str, profile: str) -> Artifact:
    found = target_named(target)
    return found.build(program, profile_named(found, profile), package=package(sounds[:6]), into=into)


@pytest.fixture(scope="module")
def board(program: QuantizedProgram, sounds: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("board") / "a"
    return build(program, sounds, into, "arm-onnxruntime", "raspberry-pi-4").folder


def runner(folder: Path, *arguments: str) -> dict[str, object]:
    command = [sys.executable, "-I", str(folder / "runner.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return {**json.loads(done.stdout), "code": done.returncode}


def test_the_runner_computes_the_features_of_the_golden_sounds(board: Path) -> None:
    found = runner(board, "verify")
    assert (found["code"], found["ok"]) == (0, True), found
    assert not (board / "arrays.py").exists()
    manifest = json.loads((board / "manifest.json").read_text())
    assert manifest["preprocessing"] == FEATURES.model_dump(mode="json")
    assert manifest["synthetic"] == "tones of a test"
    with np.load(board / "golden.npz") as golden:
        assert golden["raw"].dtype == np.int16
        assert golden["inputs"].tobytes() == features(golden["raw"]).tobytes()


def test_the_runner_hears_wav_files(board: Path, sounds: np.ndarray, tmp_path: Path) -> None:
    paths = [write_wav(tmp_path / f"{index}.wav", sounds[index]) for index in range(3)]
    np.save(tmp_path / "raw.npy", sounds[:3])
    arguments = [argument for path in paths for argument in ("--wav", str(path))]
    heard = runner(board, "predict", *arguments)
    assert heard["code"] == 0, heard
    assert heard["result"] == runner(board, "predict", "--raw", str(tmp_path / "raw.npy"))["result"]
    slow = write_wav(tmp_path / "slow.wav", sounds[0], rate=8000)
    refused = runner(board, "predict", "--wav", str(slow))
    assert refused["code"] == 2
    assert "found 8000 Hz" in refused["error"]["message"]


def test_the_emulated_board_computes_the_same_bits(board: Path) -> None:
    state = environment_state()
    if not state.ready:
        pytest.skip(f"emulated board: {state.reason}")
    emulated = EmulatedArm("cortex-a72")
    done = emulated.run(("python3", str(emulated.push(board) / "runner.py"), "verify"), timeout_s=600)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert (document["emulated"], document["runtime"]["machine"]) == (True, "aarch64")
    assert document["result"]["golden"]["identical_outputs"] == 1.0


def test_other_models_do_not_hear(board: Path, tmp_path: Path) -> None:
    manifest = json.loads((board / "manifest.json").read_text())
    code = ("runner.py", "answers.py", "timing.py", "measuring.py", "sensors.py", "sound.py")
    for file in (*code, "golden.npz", manifest["model"]):
        (tmp_path / file).write_bytes((board / file).read_bytes())
    (tmp_path / "arrays.py").write_bytes((board / "sound.py").read_bytes())
    manifest["files"] = {name: entry for name, entry in manifest["files"].items() if (tmp_path / name).is_file()}
    manifest["files"]["arrays.py"] = manifest["files"]["sound.py"]
    manifest["preprocessing"] = {"kind": "array", "shape": [3]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    found = runner(tmp_path, "predict", "--wav", "a.wav")
    assert (found["code"], found["error"]["message"]) == (2, "--wav: this model does not hear")


def test_the_jetson_runner_has_the_features_too(sounds: np.ndarray, tmp_path: Path) -> None:
    target = target_named("jetson-tensorrt")
    profile = profile_named(target, "orin-nano")
    jetson = program_for(sounds, target.quant_spec(profile))
    folder = build(jetson, sounds, tmp_path / "a", "jetson-tensorrt", "orin-nano").folder
    code = (
        "import pathlib, sys; sys.path.insert(0, sys.argv[1])\n"
        "from edgedistill.targets.jetson_tensorrt.device.manifest import Manifest\n"
        "manifest = Manifest(pathlib.Path(sys.argv[1])); manifest.check_files(); manifest.golden(); print('same')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(folder)], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.stdout == "same\n", done.stderr
    assert json.loads((folder / "manifest.json").read_text())["synthetic"] == "tones of a test"


def test_an_app_s_module_refuses_and_writes_nothing(
    program: QuantizedProgram, sounds: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedError, match=r"arm-onnxruntime/android-big-core.*computes no features of sounds"):
        build(program, sounds, tmp_path / "a", "arm-onnxruntime", "android-big-core")
    assert not (tmp_path / "a").exists()


def test_a_phone_refuses_and_writes_nothing(sounds: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("coremltools", reason="the extra `apple` is not installed")
    phone = program_for(sounds, QuantSpec(bias=BiasType.FP16))
    with pytest.raises(UnsupportedError, match=r"phone-coreml/iphone-15-pro.*computes no features of sounds"):
        build(phone, sounds, tmp_path / "a", "phone-coreml", "iphone-15-pro")
    assert not (tmp_path / "a").exists()


def test_recorded_data_leave_no_word_of_their_origin() -> None:
    assert package(tones(1)).origin == {"synthetic": "tones of a test"}
    assert dataclasses.replace(package(tones(1)), synthetic="").origin == {}
