"""Step `build`: from a program to an artifact, and back from the saved file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistill.data.tokenizers import ASSET
from edgedistill.errors import UnsupportedError
from edgedistill.export.onnx_writer import onnx_from_module
from edgedistill.models.loading import example_inputs
from edgedistill.quantize.program import load_program
from edgedistill.run.steps.outcome import Outcome
from edgedistill.run.steps.quantize import program_folder
from edgedistill.run.summary import ArtifactRecord, FileRecord
from edgedistill.targets.base import Package, profile_named, require_unbroken
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedistill.quantize.program import StoredTensor
    from edgedistill.recipe import TargetChoice
    from edgedistill.run.context import Context
    from edgedistill.targets.base import Artifact, QuantizedTensor

FP32_MODEL = "fp32/student.onnx"
GOLDEN_SAMPLES = 16


def build(context: Context, choice: TargetChoice) -> Outcome:
    """Check the rules, write the artifact, read every stored number back and compare it with the program's."""
    target = target_named(choice.target)
    profile = profile_named(target, choice.profile, choice.options)
    program = load_program(program_folder(context, target.quant_spec(profile)))
    issues = target.check(program, profile)
    require_unbroken(issues)
    folder = artifact_folder(context, choice)
    package = _package(context)
    artifact = target.build(program, profile, package=package, into=folder)
    _require_assets(artifact, package)
    fp32 = _fp32_model(context)
    stored, read = program.tensors(), target.read_back(artifact)
    record = ArtifactRecord(
        target=choice.target,
        profile=choice.configured,
        folder=folder.relative_to(context.directory.folder).as_posix(),
        model=artifact.model,
        files=tuple(
            FileRecord(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256) for file in artifact.files
        ),
        fp32_bytes=fp32.stat().st_size,
        readback_tensors=len(stored),
        readback_equal=_equal_tensors(stored, read),
    )
    notes = [f"{issue.rule} ({issue.severity}) {issue.message}; {issue.fix}" for issue in issues]
    return Outcome(
        {"artifact": record.model_dump(mode="json"), "notes": [*notes, *artifact.notes]},
        [*_paths(artifact), fp32],
    )


def _require_assets(artifact: Artifact, package: Package) -> None:
    """Check that the target packs what the preprocessing needs: not every target knows texts.

    Raises:
        UnsupportedError: a file is not in the artifact.
    """
    packed = {file.path for file in artifact.files}
    missing = sorted(package.assets.keys() - packed)
    if missing:
        raise UnsupportedError(
            f"target '{artifact.target}'",
            found=f"its artifact leaves out '{missing[0]}', so that the device could not prepare its inputs",
            wanted="a target that packs a tokenizer, such as arm-onnxruntime",
        )


def artifact_folder(context: Context, choice: TargetChoice) -> Path:
    """Return where an artifact is built."""
    return context.directory.folder / "artifacts" / choice.folder_name


def _paths(artifact: Artifact) -> list[Path]:
    return [artifact.folder / file.path for file in artifact.files]


def _package(context: Context) -> Package:
    """Take the golden samples evenly from the evaluation set, and the tokenizer where the samples are texts."""
    preprocessing, assets = context.recipe.data.preprocessing, {}
    if context.tokenizer is not None and preprocessing.kind == "text":
        preprocessing = preprocessing.model_copy(update={"tokenizer": ASSET, "vocabulary": None})
        assets = {ASSET: context.tokenizer.text.encode()}
    chosen = np.linspace(0, len(context.test) - 1, min(GOLDEN_SAMPLES, len(context.test))).round().astype(int)
    return Package(
        name=context.recipe.name,
        classes=context.test.classes,
        preprocessing=preprocessing,
        task=str(context.recipe.task),
        assets=assets,
        golden_raw=np.ascontiguousarray(context.test.raw[chosen]),
        synthetic=context.train.synthetic,
    )


def _fp32_model(context: Context) -> Path:
    path = context.directory.folder / FP32_MODEL
    preprocessing = context.recipe.data.preprocessing
    example = example_inputs(preprocessing.input_shape, getattr(torch, preprocessing.input_dtype))
    onnx_from_module(context.trained_student(), example, path)
    return path


def _equal_tensors(stored: Mapping[str, StoredTensor], read: Mapping[str, QuantizedTensor]) -> int:
    return sum(name in read and _equal(tensor, read[name]) for name, tensor in stored.items())


def _equal(stored: StoredTensor, read: QuantizedTensor) -> bool:
    """Compare bit for bit, types included; a zero point that the file leaves out is read as zeros."""
    if (stored.codes is None) != (read.codes is None):
        return False
    pairs = [(stored.scale, read.scale), (stored.zero_point, read.zero_point)]
    if stored.codes is not None and read.codes is not None:
        pairs.append((stored.codes, read.codes))
    return all(ours.numpy().dtype == theirs.dtype and np.array_equal(ours.numpy(), theirs) for ours, theirs in pairs)
