"""The target `phone-coreml`: an INT8 Core ML package in a Swift package, for iPhone and iPad."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from edgedistill.errors import UnsupportedError, nearest
from edgedistill.quantize.spec import ActivationType, BiasType, Granularity, QuantSpec, ScaleFormat, Symmetry
from edgedistill.targets.base import DeviceProfile, Issue, Severity, profiles_from_folder, require_unbroken
from edgedistill.targets.phone_coreml.deployment import Deployment
from edgedistill.targets.phone_coreml.needs import core_ai_missing, lacking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgedistill.evaluate.executor import Executor
    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.targets.base import Artifact, Package, Purpose, QuantizedTensor

HERE = Path(__file__).parent
CORE_AI = "core_ai"


class PhoneCoreMl:
    """INT8 on Apple's phones: uint8 asymmetric activations, int8 per-channel weights, scales and biases of fp16."""

    name: ClassVar[str] = "phone-coreml"
    samples: ClassVar[frozenset[str]] = frozenset({"image", "array", "text"})
    measured_by: ClassVar[str] = "`edgedistill bench ARTIFACT --device ios:ID` on a Mac"

    def profiles(self) -> Mapping[str, DeviceProfile]:
        """Return the known devices by name, each once per oldest system it can be built for."""
        devices = profiles_from_folder(HERE / "profiles").values()
        return {profile.name: profile for device in devices for profile in _by_deployment(device)}

    def check_options(self, profile: DeviceProfile) -> None:
        """Refuse options of a recipe other than `core_ai: true` or `false`.

        Raises:
            UnsupportedError: an option is not known, or its value has another form.
        """
        for name, value in profile.options.items():
            thing = f"option '{name}' of target '{self.name}'"
            if name != CORE_AI:
                raise UnsupportedError(thing, found="not known", fix=nearest(name, (CORE_AI,)))
            if not isinstance(value, bool):
                raise UnsupportedError(thing, found=repr(value), wanted="true or false")

    def check_purpose(self, purpose: Purpose, profile: DeviceProfile) -> None:
        """Refuse sounds.

        Raises:
            UnsupportedError: the samples are sounds, of which the Swift sources compute no features.
        """
        from edgedistill.targets.app_files import refuse_sound  # noqa: PLC0415 - kept light for planning

        refuse_sound(purpose, target=f"{self.name}/{profile.name}")

    def lacking(self, profile: DeviceProfile) -> Sequence[Issue]:
        """Return coremltools where it is not installed, and Core AI where it is asked for and is not there."""
        return lacking(core_ai=with_core_ai(profile))

    def quant_spec(self, profile: DeviceProfile) -> QuantSpec:  # noqa: ARG002 - the contract's; every device wants the same
        """Return numbers that a Core ML package holds bit for bit."""
        return QuantSpec(
            activation=ActivationType.UINT8,
            symmetry=Symmetry.ASYMMETRIC,
            weights=Granularity.PER_CHANNEL,
            bias=BiasType.FP16,
            scale_format=ScaleFormat.FP16,
        )

    def check(self, program: QuantizedProgram, profile: DeviceProfile) -> Sequence[Issue]:
        """Return the broken rules of `rules.py`; where none is an error, what a conversion on trial shows.

        Raises:
            DependencyError: coremltools is not installed.
        """
        from edgedistill.targets.phone_coreml.deployment import deployment_of  # noqa: PLC0415 - kept light for planning
        from edgedistill.targets.phone_coreml.rules import broken_rules  # noqa: PLC0415 - loads torch and coremltools
        from edgedistill.targets.phone_coreml.trial import refusal  # noqa: PLC0415 - as above

        issues = broken_rules(program)
        if any(issue.severity is Severity.ERROR for issue in issues):
            return issues
        refused = refusal(program, deployment_of(profile))
        return issues if refused is None else [*issues, refused]

    def build(self, program: QuantizedProgram, profile: DeviceProfile, *, package: Package, into: Path) -> Artifact:
        """Write the artifact's folder: a Swift package around the model, manifest, golden samples, labels.

        Raises:
            UnsupportedError: the samples are sounds.
            GateError: a rule of severity error is broken.
            DataError: the number of classes is not the number of outputs.
            DependencyError: coremltools is not installed.
        """
        from edgedistill.targets.phone_coreml.rules import broken_rules  # noqa: PLC0415 - loads torch and coremltools
        from edgedistill.targets.phone_coreml.writer import write_artifact  # noqa: PLC0415 - as above

        self.check_purpose(package.purpose, profile)
        require_unbroken(broken_rules(program))
        shutil.rmtree(into, ignore_errors=True)
        return write_artifact(program, profile, package=package, into=into, target=self.name)

    def read_back(self, artifact: Artifact) -> Mapping[str, QuantizedTensor]:
        """Return codes, scales and zero points by tensor name, from the saved package and its weight file."""
        from edgedistill.targets.phone_coreml.read_back import quantized_tensors  # noqa: PLC0415 - as above
        from edgedistill.targets.phone_coreml.saved import read_package  # noqa: PLC0415 - as above

        return quantized_tensors(read_package(artifact.folder / artifact.model))

    def executors(self, artifact: Artifact) -> Sequence[Executor]:
        """Return our interpreter of the saved package, in fp32 and in emulated fp16.

        Before it comes Apple's Core AI runtime, where the artifact has that form and the packages are there.
        """
        from edgedistill.targets.phone_coreml import core_ai  # noqa: PLC0415 - as above
        from edgedistill.targets.phone_coreml.executors import InterpretedPackage  # noqa: PLC0415 - as above
        from edgedistill.targets.phone_coreml.interpreter import Precision  # noqa: PLC0415 - as above

        path, asset = artifact.folder / artifact.model, artifact.folder / core_ai.MODEL
        witnesses = [core_ai.CoreAiAsset(asset)] if asset.is_dir() and core_ai_missing() is None else []
        return [
            *witnesses,
            *(InterpretedPackage(path, precision) for precision in (Precision.FP32, Precision.FP16)),
        ]


def with_core_ai(profile: DeviceProfile) -> bool:
    """Tell whether an artifact for this profile is to carry the program in Core AI's form as well."""
    return bool(profile.options.get(CORE_AI, False))


def _by_deployment(device: DeviceProfile) -> Iterator[DeviceProfile]:
    for deployment in Deployment:
        if int(deployment.number) <= int(str(device.facts["newest_system"])):
            yield replace(
                device,
                name=f"{device.name}{deployment.suffix}",
                title=f"{device.title}, iOS {deployment.number} and later",
                facts={**device.facts, "deployment": str(deployment)},
            )
