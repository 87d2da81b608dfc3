"""The device profiles are complete, agree with each other, and name an emulator that has the same features."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedistill.devices.arm_environment import environment_state
from edgedistill.devices.emulated import CPU_MODELS, EmulatedArm
from edgedistill.targets import arm_onnxruntime
from edgedistill.targets.base import DeviceProfile, profiles_from_folder

PROFILES = profiles_from_folder(Path(arm_onnxruntime.__file__).parent / "profiles")
FEATURES = {"dotprod": "asimddp", "fp16": "asimdhp", "i8mm": "i8mm"}
"""Our names, and Linux's in /proc/cpuinfo."""


def test_every_promised_board_has_a_profile() -> None:
    assert sorted(PROFILES) == [
        "android-big-core",
        "raspberry-pi-3",
        "raspberry-pi-4",
        "raspberry-pi-5",
        "raspberry-pi-zero-2-w",
    ]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_a_profile_is_complete(profile: DeviceProfile) -> None:
    facts = profile.facts
    for name in ("soc", "cpu", "machine", "architecture", "runtime", "operating_system"):
        assert isinstance(facts[name], str), name
        assert facts[name], name
    assert isinstance(facts["cores"], int)
    assert facts["cores"] >= 1
    assert facts["emulated_cpu_model"] in CPU_MODELS
    assert sorted(facts["features"]) == sorted(FEATURES)
    assert all(isinstance(present, bool) for present in facts["features"].values())
    assert all(size % 2**20 == 0 for size in facts["memory_bytes"])
    assert facts["sources"]
    assert profile.title


def test_boards_with_the_same_cpu_have_the_same_features_and_emulator() -> None:
    by_cpu: dict[str, list[tuple[object, object, object]]] = {}
    for profile in PROFILES.values():
        facts = profile.facts
        by_cpu.setdefault(str(facts["cpu"]), []).append(
            (facts["features"], facts["emulated_cpu_model"], facts["architecture"])
        )
    assert all(entry == entries[0] for entries in by_cpu.values() for entry in entries)


@pytest.mark.parametrize(
    "cpu_model", sorted({str(profile.facts["emulated_cpu_model"]) for profile in PROFILES.values()})
)
def test_the_emulator_has_the_features_that_the_profile_names(cpu_model: str) -> None:
    state = environment_state()
    if not state.ready:
        pytest.skip(f"emulated board: {state.reason}")
    found = EmulatedArm(cpu_model).describe().facts["features"].split()
    for profile in PROFILES.values():
        if profile.facts["emulated_cpu_model"] == cpu_model:
            assert {name: linux in found for name, linux in FEATURES.items()} == profile.facts["features"]
