"""The device profiles are complete, and each stands for every system that it can be built for."""

import pytest

from edgedistill.errors import UnsupportedError
from edgedistill.targets.base import DeviceProfile
from edgedistill.targets.phone_coreml.deployment import Deployment, deployment_of
from edgedistill.targets.registry import target_named

PROFILES = target_named("phone-coreml").profiles()


@pytest.mark.parametrize("generation", [12, 13, 14, 15, 16])
def test_every_promised_phone_has_a_profile_for_every_system(generation: int) -> None:
    for suffix in ("", "-ios18", "-ios26"):
        assert f"iphone-{generation}{suffix}" in PROFILES


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_a_profile_is_complete(profile: DeviceProfile) -> None:
    facts = profile.facts
    assert str(facts["soc"]).startswith("Apple ")
    assert 5 < float(str(facts["neural_engine_tops"])) < 100
    assert isinstance(facts["int8_int8"], bool)
    assert facts["sources"]
    assert deployment_of(profile) in list(Deployment)


def test_a_profile_by_itself_is_for_the_oldest_system() -> None:
    assert deployment_of(PROFILES["iphone-12"]) is Deployment.IOS17
    assert deployment_of(PROFILES["iphone-12-ios26"]) is Deployment.IOS26


def test_an_unknown_system_is_named() -> None:
    with pytest.raises(UnsupportedError, match="iOS17, iOS18, iOS26"):
        deployment_of(DeviceProfile("p", "P", {"deployment": "iOS9"}))
