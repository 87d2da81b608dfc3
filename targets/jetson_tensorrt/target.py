"""The target `jetson-tensorrt`: strongly typed, explicitly quantized INT8 models for TensorRT on Jetson modules."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from edgedistill.errors import UnsupportedError, nearest
from edgedistill.quantize.spec import (
    ActivationType,
    BiasType,
    Granularity,
    Placement,
    QuantSpec,
    ScaleFormat,
    Symmetry,
)
from edgedistill.targets.base import (
    DeviceProfile,
    FileCheck,
    Issue,
    QuantizedTensor,
    Severity,
    profiles_from_folder,
    require_unbroken,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedistill.evaluate.executor import Executor
    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.targets.base import Artifact, Inspection, Package
    from edgedistill.targets.jetson_tensorrt.finding import Setting

HERE = Path(__file__).parent
MODEL = "model.onnx"


class JetsonTensorRt:
    """INT8 on Jetson: symmetric int8 with zero point 0, per-channel weights, everything else in FP16."""

    name: ClassVar[str] = "jetson-tensorrt"
    samples: ClassVar[frozenset[str]] = frozenset({"image", "array", "audio", "text"})

    def profiles(self) -> Mapping[str, DeviceProfile]:
        """Return the known modules by name; a profile with the fact `refused` can't be built for."""
        return profiles_from_folder(HERE / "profiles")

    def check_options(self, profile: DeviceProfile) -> None:
        """Refuse other options than `dla`, and a DLA where the module has none.

        Raises:
            UnsupportedError: the option is not known, or the module has no accelerator.
        """
        for name, value in profile.options.items():
            thing = f"option '{name}' of target '{self.name}'"
            if name != "dla":
                raise UnsupportedError(thing, found="not known", fix=nearest(name, ["dla"]))
            if not isinstance(value, bool):
                raise UnsupportedError(thing, found=repr(value), wanted="true or false")
            if value and not profile.facts["dla_cores"]:
                raise UnsupportedError(thing, found=f"{profile.title} has no deep-learning accelerator")

    def lacking(self, profile: DeviceProfile) -> Sequence[Issue]:  # noqa: ARG002 - the contract's; all modules want the same
        """Return NVIDIA's builder for the workstation where it is not installed: a model is then not inspected."""
        if find_spec("tensorrt_rtx") is not None:
            return []
        found = "tensorrt-rtx is not installed, so NVIDIA's parser and builder are not asked"
        return [Issue("needs", "tensorrt-rtx", Severity.NOTE, found, "pip install 'edgedistill[jetson]'")]

    def quant_spec(self, profile: DeviceProfile) -> QuantSpec:
        """Return the only numbers that TensorRT takes, placed where it fuses them.

        A deep-learning accelerator runs a layer in INT8 only from codes to codes, so there every result is rounded.
        """
        return QuantSpec(
            activation=ActivationType.INT8,
            symmetry=Symmetry.SYMMETRIC,
            weights=Granularity.PER_CHANNEL,
            bias=BiasType.FP16,
            scale_format=ScaleFormat.FP16,
            placement=Placement.INTEGER if uses_dla(profile) else Placement.INPUTS,
        )

    def check(self, program: QuantizedProgram, profile: DeviceProfile) -> Sequence[Issue]:
        """Return the broken rules of the forms that a build would write, for every TensorRT of the profile."""
        from edgedistill.targets.jetson_tensorrt.forms import forms_of, issues_of  # noqa: PLC0415 - loads torch

        return issues_of(forms_of(program, profile), profile)

    def check_file(self, path: Path, profile: DeviceProfile | None, options: Mapping[str, str]) -> FileCheck:
        """Return the broken rules of any ONNX file.

        Args:
            path: the file; its external data is not read.
            profile: the module, whose newest TensorRT counts; none means 10.3 (JetPack 6.1 and 6.2) on Orin.
            options: `tensorrt`: a version, "10.3"; `dla`: "true" or "false".

        Raises:
            UnsafeFileError: the file is no ONNX model.
            InputError: an option is not one of these.
        """
        from edgedistill.targets.jetson_tensorrt.files import model_from_file, setting_from  # noqa: PLC0415 - loads onnx
        from edgedistill.targets.jetson_tensorrt.rules import broken_rules  # noqa: PLC0415 - as above

        setting = setting_from(profile, options)
        return FileCheck(setting.title, broken_rules(model_from_file(path), setting))

    def inspect_file(self, path: Path) -> Sequence[Inspection]:
        """Return what NVIDIA's parser and builder make of any ONNX file."""
        from edgedistill.targets.jetson_tensorrt.files import model_from_file  # noqa: PLC0415 - loads onnx
        from edgedistill.targets.jetson_tensorrt.structure import inspection_of  # noqa: PLC0415 - as above

        model_from_file(path)  # refuses what the builder should not be shown
        return (inspection_of(path),)

    def build(self, program: QuantizedProgram, profile: DeviceProfile, *, package: Package, into: Path) -> Artifact:
        """Write the artifact's folder: the network's forms, golden samples, labels, runner, manifest.

        Raises:
            GateError: a rule of severity error is broken.
        """
        from edgedistill.targets.jetson_tensorrt.forms import forms_of, issues_of  # noqa: PLC0415 - loads torch
        from edgedistill.targets.jetson_tensorrt.writer import write_artifact  # noqa: PLC0415 - as above

        forms = forms_of(program, profile)
        issues = issues_of(forms, profile)
        require_unbroken(issues)
        shutil.rmtree(into, ignore_errors=True)
        return write_artifact(program, profile, forms=forms, issues=issues, package=package, into=into)

    def read_back(self, artifact: Artifact) -> Mapping[str, QuantizedTensor]:
        """Return codes, scales and zero points by the name of the value, from the saved ONNX file.

        Scales are stored in fp16; every one was chosen so that fp16 holds it, so float32 gives it back bit for bit.
        """
        import numpy as np  # noqa: PLC0415 - kept light for planning

        from edgedistill.export.read_back import quantized_tensors  # noqa: PLC0415 - loads onnx

        return {
            name: QuantizedTensor(codes=codes, scale=scale.astype(np.float32), zero_point=zero_point)
            for name, (codes, scale, zero_point) in quantized_tensors(artifact.folder / artifact.model).items()
        }

    def executors(self, artifact: Artifact) -> Sequence[Executor]:
        """Return two readings of the file, between which TensorRT lies; itself it runs on the module only."""
        from edgedistill.targets.jetson_tensorrt.executor import LiteralExecutor, Remainder  # noqa: PLC0415 - loads onnxruntime

        return tuple(LiteralExecutor(artifact.folder / artifact.model, remainder) for remainder in Remainder)

    def inspections(self, artifact: Artifact) -> Sequence[Inspection]:
        """Return what NVIDIA's parser and builder make of the saved model."""
        from edgedistill.targets.jetson_tensorrt.structure import inspection_of  # noqa: PLC0415 - loads onnx

        return (inspection_of(artifact.folder / artifact.model),)


def uses_dla(profile: DeviceProfile) -> bool:
    """Tell whether an artifact for this profile is to run on a deep-learning accelerator."""
    return bool(profile.options.get("dla", False))


def settings_of(profile: DeviceProfile) -> tuple[Setting, ...]:
    """Return what an artifact for this profile is judged for: every TensorRT that its JetPacks bring, oldest first."""
    from edgedistill.targets.jetson_tensorrt.finding import Setting  # noqa: PLC0415 - kept light for planning

    major, minor = (int(part) for part in str(profile.facts["compute_capability"]).split("."))
    versions = profile.facts["tensorrt_by_jetpack"]
    if not isinstance(versions, dict):
        raise TypeError("tensorrt_by_jetpack is a table")
    found = {(int(first), int(second)) for first, second, *_ in (str(text).split(".") for text in versions.values())}
    return tuple(
        Setting(version, dla=uses_dla(profile), compute_capability=(major, minor)) for version in sorted(found)
    )
