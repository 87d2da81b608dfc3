"""The forms in which an artifact carries one network, because TensorRT's versions want it in different ones."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from edgedistill.errors import UnsupportedError
from edgedistill.export.onnx_writer import onnx_from_program
from edgedistill.targets.jetson_tensorrt import dla
from edgedistill.targets.jetson_tensorrt.calibration_cache import calibration_cache
from edgedistill.targets.jetson_tensorrt.passes.float_network import drop_quantization
from edgedistill.targets.jetson_tensorrt.passes.half_precision import type_as_half
from edgedistill.targets.jetson_tensorrt.passes.node_names import name_nodes
from edgedistill.targets.jetson_tensorrt.passes.older_opset import lower_opset
from edgedistill.targets.jetson_tensorrt.passes.static_batch import fix_batch
from edgedistill.targets.jetson_tensorrt.rules import broken_rules
from edgedistill.targets.jetson_tensorrt.target import MODEL, settings_of, uses_dla

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onnx import ModelProto

    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.targets.base import DeviceProfile, Issue
    from edgedistill.targets.jetson_tensorrt.finding import Setting, Version

FP16_MODEL, OLD_MODEL, DLA_MODEL = "model_fp16.onnx", "model_tensorrt8.onnx", "model_dla.onnx"
CALIBRATION_CACHE = "calibration.cache"
STRONGLY_TYPED: Version = (10, 0)
UNQUANTIZED_RULES = ("TRT025",)  # a form without quantization is meant to be one


@dataclass(frozen=True)
class Form:
    """One ONNX file of an artifact.

    Args:
        file: its name.
        precision: "int8" or "fp16".
        model: its content.
        typing: "strong": every type is the file's; "weak": the builder chooses among those its flags allow.
        since: first TensorRT it is for.
        before: first TensorRT it is not for; none means all later ones.
        calibration: text of the calibration cache that goes with it; "" where Q and DQ are in the file.
    """

    file: str
    precision: str
    model: ModelProto
    typing: str
    since: Version
    before: Version | None = None
    calibration: str = ""

    def is_for(self, setting: Setting) -> bool:
        """Tell whether a TensorRT is to build this form."""
        return self.since <= setting.tensorrt and (self.before is None or setting.tensorrt < self.before)


def forms_of(program: QuantizedProgram, profile: DeviceProfile) -> tuple[Form, ...]:
    """Return the forms for a profile, the strongly typed INT8 one first."""
    exported = _exported(program)
    strong = copy.deepcopy(exported)
    type_as_half(strong)
    half = copy.deepcopy(exported)
    drop_quantization(half)
    old = _older(exported)
    if old is not None:
        lower_opset(half)
    type_as_half(half, opset=None)
    forms = [
        Form(MODEL, "int8", strong, "strong", STRONGLY_TYPED),
        Form(FP16_MODEL, "fp16", half, "strong", (8, 5)),
    ]
    if old is not None:
        forms.append(Form(OLD_MODEL, "int8", old, "weak", (8, 5), STRONGLY_TYPED))
        if uses_dla(profile):
            forms = [*_dla_forms(forms, old)]
    return tuple(forms)


def issues_of(forms: Sequence[Form], profile: DeviceProfile) -> list[Issue]:
    """Return the broken rules of each form for every TensorRT that would build it; each once."""
    found: dict[Issue, list[str]] = {}
    for form in forms:
        for setting in settings_of(profile):
            if not form.is_for(setting):
                continue
            for issue in broken_rules(form.model, setting):
                wanted = form.precision == "int8" and not form.calibration
                if wanted or issue.rule not in UNQUANTIZED_RULES:
                    found.setdefault(issue, []).append(setting.title)
    return [
        replace(issue, message=f"{issue.message} ({', '.join(dict.fromkeys(titles))})")
        for issue, titles in found.items()
    ]


def _exported(program: QuantizedProgram) -> ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        onnx_from_program(program, path)
        model = onnx.load(path)
    fix_batch(model)
    name_nodes(model)  # before the forms part, so that a layer has the same name in all of them
    return model


def _older(exported: ModelProto) -> ModelProto | None:
    """Return the form for TensorRT 8; none where opset 17 lacks an operator."""
    model = copy.deepcopy(exported)
    try:
        lower_opset(model)
    except UnsupportedError:
        return None
    return model


def _dla_forms(forms: Sequence[Form], old: ModelProto) -> Iterator[Form]:
    """Yield the forms for an accelerator: Q and DQ from TensorRT 11.4 on, a calibration cache before."""
    network = copy.deepcopy(old)
    drop_quantization(network)
    yield replace(forms[0], since=dla.QDQ_SINCE)
    yield forms[1]
    yield Form(DLA_MODEL, "int8", network, "weak", (8, 5), dla.QDQ_SINCE, calibration_cache(old))
