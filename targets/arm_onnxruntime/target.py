"""The target `arm-onnxruntime`: an INT8 QDQ model for ONNX Runtime's CPU kernels on ARM boards and phones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from edgedistill.errors import UnsupportedError
from edgedistill.quantize.spec import ActivationType, BiasType, Granularity, QuantSpec, ScaleFormat, Symmetry
from edgedistill.targets.base import USUAL_TASKS, DeviceProfile, QuantizedTensor, profiles_from_folder, require_unbroken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedistill.devices.base import Device
    from edgedistill.evaluate.executor import Executor
    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.targets.base import Artifact, Issue, Package, Purpose

HERE = Path(__file__).parent
MODEL = "model.onnx"
# x86-64 without VNNI multiplies uint8 by int8 in saturating 16-bit pairs; this entry rewrites the weights to uint8,
# which is exact and equals what ARM computes. ARM needs no option.
OPTIONS_BY_MACHINE = {"x86_64": {"session.x64quantprecision": "1"}}
README = """\
{name} for {title}

  python3 runner.py verify                                    hashes and golden samples
  python3 runner.py predict --raw SAMPLES.npy                 classes of raw samples, or of their pixels
  python3 runner.py run --inputs X.npy --outputs Y.npy        outputs of preprocessed inputs
  python3 runner.py bench                                     latency on this machine, after verify
  python3 runner.py pair --against FOLDER                     this artifact and another one, in turns

Needs Python 3.8 or newer, numpy and onnxruntime. manifest.json says what every file is.
"""


class ArmOnnxRuntime:
    """INT8 on ARM: uint8 asymmetric activations, int8 per-channel weights, int32 biases."""

    name: ClassVar[str] = "arm-onnxruntime"
    tasks: ClassVar[frozenset[str]] = USUAL_TASKS | {"segmentation"}
    samples: ClassVar[frozenset[str]] = frozenset({"image", "array", "audio", "text"})

    def profiles(self) -> Mapping[str, DeviceProfile]:
        """Return the known boards by name."""
        return profiles_from_folder(HERE / "profiles")

    def check_purpose(self, purpose: Purpose, profile: DeviceProfile) -> None:
        """Refuse what the Kotlin sources of an app have no form for; a board takes everything.

        Raises:
            UnsupportedError: the profile wants an app's module, and the samples are sounds or the task is segmentation.
        """
        if not profile.facts.get("android_module"):
            return
        from edgedistill.targets.app_files import refuse_sound  # noqa: PLC0415 - kept light for planning

        thing = f"{self.name}/{profile.name}"
        refuse_sound(purpose, target=thing)
        if purpose.task == "segmentation":
            raise UnsupportedError(
                f"target '{thing}'",
                found="'task: segmentation': its app has no form for a class for every pixel",
                wanted="classification or embedding",
                fix="choose a profile of a board",
            )

    def quant_spec(self, profile: DeviceProfile) -> QuantSpec:  # noqa: ARG002 - the contract's; every board wants the same
        """Return the numbers ONNX Runtime computes fastest and exactly on every ARM CPU."""
        return QuantSpec(
            activation=ActivationType.UINT8,
            symmetry=Symmetry.ASYMMETRIC,
            weights=Granularity.PER_CHANNEL,
            bias=BiasType.INT32,
            scale_format=ScaleFormat.FP16,
        )

    def check(self, program: QuantizedProgram, profile: DeviceProfile) -> Sequence[Issue]:  # noqa: ARG002 - as above
        """Return the broken rules of `rules.py`."""
        from edgedistill.targets.arm_onnxruntime.rules import broken_rules  # noqa: PLC0415 - loads torch

        return broken_rules(program)

    def build(self, program: QuantizedProgram, profile: DeviceProfile, *, package: Package, into: Path) -> Artifact:
        """Write the artifact's folder: model, manifest, golden samples, labels, runner.

        Raises:
            UnsupportedError: as of `check_purpose`.
            GateError: a rule of severity error is broken.
        """
        from edgedistill.targets.arm_onnxruntime.writer import write_artifact  # noqa: PLC0415 - loads torch

        self.check_purpose(package.purpose, profile)
        require_unbroken(self.check(program, profile))
        shutil.rmtree(into, ignore_errors=True)
        return write_artifact(program, profile, package=package, into=into, target=self.name)

    def read_back(self, artifact: Artifact) -> Mapping[str, QuantizedTensor]:
        """Return codes, scales and zero points by the name of the value, from the saved ONNX file."""
        from edgedistill.export.read_back import quantized_tensors  # noqa: PLC0415 - loads onnx

        return {
            name: QuantizedTensor(codes=codes, scale=scale, zero_point=zero_point)
            for name, (codes, scale, zero_point) in quantized_tensors(artifact.folder / artifact.model).items()
        }

    def executors(self, artifact: Artifact) -> Sequence[Executor]:
        """Return ONNX Runtime on this workstation, and ONNX Runtime for aarch64 on an emulated board."""
        import platform  # noqa: PLC0415 - as below

        from edgedistill.evaluate.executor import Execution  # noqa: PLC0415 - kept light for planning
        from edgedistill.evaluate.onnx_runtime import OnnxRuntimeExecutor  # noqa: PLC0415 - loads onnxruntime
        from edgedistill.targets.arm_onnxruntime.board import BoardExecutor  # noqa: PLC0415 - as above

        options = OPTIONS_BY_MACHINE.get(platform.machine(), {})
        host = OnnxRuntimeExecutor(artifact.folder / artifact.model, options=options)
        cpu_model = str(self.profiles()[artifact.profile].facts["emulated_cpu_model"])
        board = BoardExecutor(artifact, Execution.EMULATED, lambda: _emulated(cpu_model))
        return (host, board)


def _emulated(cpu_model: str) -> Device:
    from edgedistill.devices.emulated import EmulatedArm  # noqa: PLC0415 - reached only when something is to run on it

    return EmulatedArm(cpu_model=cpu_model)
