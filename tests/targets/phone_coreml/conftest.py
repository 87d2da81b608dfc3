"""Packages that several tests look into; skipped where coremltools is not installed."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest
from small_models import images, program_of, residual, separable
from target_contract import package

from edgedistill.quantize.spec import BiasType, QuantSpec
from edgedistill.targets.base import profile_named
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.targets.base import Artifact

if importlib.util.find_spec("coremltools") is None:
    pytest.skip("coremltools is not installed: pip install 'edgedistill[apple]'", allow_module_level=True)


SPEC = QuantSpec(bias=BiasType.FP16)


@pytest.fixture(scope="session")
def program() -> QuantizedProgram:
    """A program with residual additions."""
    return program_of(residual(), images(64), SPEC)


@pytest.fixture(scope="session")
def artifact(program: QuantizedProgram, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Its artifact for iOS 17."""
    return built(program, "iphone-15-pro", tmp_path_factory.mktemp("phone") / "a")


@pytest.fixture(scope="session")
def separable_program() -> QuantizedProgram:
    """A program with depthwise convolutions and clamps."""
    return program_of(separable(), images(64), SPEC)


def built(program: QuantizedProgram, profile: str, into: Path) -> Artifact:
    target = target_named("phone-coreml")
    return target.build(program, profile_named(target, profile), package=package(), into=into)
