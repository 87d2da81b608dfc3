"""What every target must pass. A target's test subclasses `TargetContract` and says which target and profile."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from small_models import images, program_of, residual, separable

from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.errors import UnsafeFileError, UnsupportedError
from edgedistill.evaluate.executor import Execution, StatesLimits
from edgedistill.evaluate.parity import parity
from edgedistill.targets.base import Package, Purpose, profile_named, require_purpose
from edgedistill.targets.folder import open_artifact
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.quantize.spec import Arithmetic
    from edgedistill.targets.base import Artifact, DeviceProfile, Target

PREPROCESSING = ImagePreprocessing(size=(16, 16), channels=1, mean=(0.5,), std=(0.25,))


def package() -> Package:
    """Return what an artifact of the small models carries."""
    raw = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 1), np.uint8)
    return Package(name="small", classes=tuple("abcde"), preprocessing=PREPROCESSING, golden_raw=raw)


class TargetContract:
    """The promises of `targets/base.py`."""

    target_name: str
    profile_name: str
    arithmetic: Arithmetic

    @pytest.fixture(scope="class")
    @classmethod
    def target(cls) -> Target:
        return target_named(cls.target_name)

    @pytest.fixture(scope="class")
    @classmethod
    def profile(cls, target: Target) -> DeviceProfile:
        return profile_named(target, cls.profile_name)

    @pytest.fixture(scope="class")
    @classmethod
    def program(cls, target: Target, profile: DeviceProfile) -> QuantizedProgram:
        return program_of(residual(), images(64), target.quant_spec(profile))

    @pytest.fixture(scope="class")
    @classmethod
    def artifact(
        cls,
        target: Target,
        profile: DeviceProfile,
        program: QuantizedProgram,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Artifact:
        return target.build(program, profile, package=package(), into=tmp_path_factory.mktemp("artifact") / "a")

    def test_its_program_computes_as_its_runtime_does(self, target: Target, profile: DeviceProfile) -> None:
        assert target.quant_spec(profile).arithmetic is self.arithmetic

    def test_it_is_found_by_its_name(self, target: Target) -> None:
        assert target.name == self.target_name

    def test_an_unknown_profile_is_named_with_the_known_ones(self, target: Target) -> None:
        with pytest.raises(UnsupportedError, match=self.profile_name):
            profile_named(target, "toaster")

    def test_a_purpose_it_has_no_form_for_is_refused_and_the_usual_one_is_not(
        self, target: Target, profile: DeviceProfile
    ) -> None:
        require_purpose(target, profile, package().purpose)
        with pytest.raises(UnsupportedError, match=rf"{self.target_name}.*'task: telepathy'; wanted .*classification"):
            require_purpose(target, profile, Purpose("telepathy", PREPROCESSING))

    def test_every_profile_has_a_title_and_says_where_its_facts_come_from(self, target: Target) -> None:
        for profile in target.profiles().values():
            assert profile.title
            assert profile.facts["sources"]

    @pytest.mark.parametrize("make", [residual, separable])
    def test_the_families_break_no_rule(self, target: Target, profile: DeviceProfile, make: object) -> None:
        program = program_of(make(), images(64), target.quant_spec(profile))  # type: ignore[operator]
        assert list(target.check(program, profile)) == []

    def test_every_number_is_read_back_bit_for_bit(
        self, target: Target, program: QuantizedProgram, artifact: Artifact
    ) -> None:
        read, stored = target.read_back(artifact), program.tensors()
        assert set(read) == set(stored)
        for name, tensor in stored.items():
            np.testing.assert_array_equal(read[name].scale, tensor.scale.numpy(), strict=True)
            np.testing.assert_array_equal(read[name].zero_point, tensor.zero_point.numpy(), strict=True)
            if tensor.codes is not None:
                np.testing.assert_array_equal(read[name].codes, tensor.codes.numpy(), strict=True)

    def test_the_same_program_gives_the_same_bytes(
        self,
        target: Target,
        profile: DeviceProfile,
        program: QuantizedProgram,
        artifact: Artifact,
        tmp_path: Path,
    ) -> None:
        again = target.build(program, profile, package=package(), into=tmp_path / "b")
        assert again.files == artifact.files

    def test_the_folder_opens_and_every_file_is_hashed(self, artifact: Artifact) -> None:
        opened, manifest = open_artifact(artifact.folder)
        assert opened == artifact
        on_disk = {
            path.relative_to(artifact.folder).as_posix() for path in artifact.folder.rglob("*") if path.is_file()
        }
        assert on_disk == {file.path for file in artifact.files}
        for name, entry in manifest["files"].items():
            assert entry["sha256"] == hashlib.sha256((artifact.folder / name).read_bytes()).hexdigest()

    def test_it_carries_preprocessing_classes_and_golden_samples(
        self, artifact: Artifact, program: QuantizedProgram
    ) -> None:
        _, manifest = open_artifact(artifact.folder)
        assert manifest["preprocessing"] == PREPROCESSING.model_dump(mode="json")
        assert manifest["classes"] == list("abcde")
        golden = np.load(artifact.folder / "golden.npz")
        np.testing.assert_array_equal(golden["raw"], package().golden_raw)
        np.testing.assert_array_equal(golden["outputs"], program.run(golden["inputs"]))

    def test_nothing_of_this_machine_is_in_it(self, artifact: Artifact) -> None:
        for path in artifact.folder.rglob("*"):
            if path.is_file():
                assert str(artifact.folder).encode() not in path.read_bytes()

    def test_executors_that_need_no_device_agree_with_the_program(
        self, target: Target, artifact: Artifact, program: QuantizedProgram
    ) -> None:
        inputs = images(64, seed=1).numpy()
        executors = [item for item in target.executors(artifact) if item.execution is not Execution.EMULATED]
        assert executors
        for executor in executors:
            allowed = executor.limits.max_steps if isinstance(executor, StatesLimits) else 1.0
            found = parity(program.run(inputs), executor.run(inputs), max_steps=allowed)
            assert found.top1_agreement == 1
            assert found.within_steps == 1
            assert executor.label

    def test_a_changed_file_is_refused(
        self, target: Target, profile: DeviceProfile, program: QuantizedProgram, tmp_path: Path
    ) -> None:
        artifact = target.build(program, profile, package=package(), into=tmp_path / "c")
        path = artifact.folder / "labels.txt"
        path.write_bytes(path.read_bytes().swapcase())
        with pytest.raises(UnsafeFileError, match=r"labels\.txt"):
            open_artifact(artifact.folder)

    def test_a_path_out_of_the_folder_is_refused(
        self, target: Target, profile: DeviceProfile, program: QuantizedProgram, tmp_path: Path
    ) -> None:
        artifact = target.build(program, profile, package=package(), into=tmp_path / "d")
        manifest = json.loads((artifact.folder / "manifest.json").read_text("utf-8"))
        manifest["files"]["../labels.txt"] = manifest["files"]["labels.txt"]
        (artifact.folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        with pytest.raises(UnsafeFileError, match="leaves the folder"):
            open_artifact(artifact.folder)
