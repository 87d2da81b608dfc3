"""From a quantized program to a Core ML model, in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.errors import DataError, EdgeDistillError, ShapeError, UnsupportedError
from edgedistill.quantize.operators import DEQUANTIZE, QUANTIZE
from edgedistill.targets.phone_coreml import lowering
from edgedistill.targets.phone_coreml.completion import completed
from edgedistill.targets.phone_coreml.vendor import coremltools, part, quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import fx
    from torch.export import ExportedProgram

    from edgedistill.data.preprocessing import Preprocessing
    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.targets.base import Package
    from edgedistill.targets.phone_coreml.deployment import Deployment

IMAGE, ARRAY, TOKENS, LOGITS, PROBABILITIES, LABEL = "image", "input", "tokens", "logits", "probabilities", "classLabel"
CLASSIFICATION, EMBEDDING = "classification", "embedding"
OUTPUTS = {CLASSIFICATION: (LOGITS, PROBABILITIES), EMBEDDING: (EMBEDDING,)}
"""Names of what the program gives, by task."""
LEFT_OUT = (
    # rewrites scales and adds new ones where quantized values are added
    "common::distributive_quantized_binary_op_scale_normalization",
    # turns uint8 codes with zero point 128 into int8 codes with zero point 0
    "common::nullify_redundant_quantization_zero_point",
    # multiplies by the reciprocal of `std`, where the workstation's preprocessing divides
    "common::divide_to_multiply",
    # lets two tensors of equal numbers share one constant, which then has the name of one of them only
    "common::const_deduplication",
)
"""Passes of coremltools 9.0 that change numbers which are ours."""
IN_FULL = ("mul", "sub", "real_div")


@dataclass(frozen=True)
class Converted:
    """A Core ML model that is not written yet.

    Args:
        specification: the protobuf message `Model`.
        weights: folder of its weight file.
    """

    specification: Any
    weights: Path


class Deployed(nn.Module):
    """A program with its normalisation in front and, for a classifier, a softmax behind.

    Args:
        graph: of the program; not changed.
        task: of the program.
        preprocessing: an image's normalisation is put in front; what is done to arrays and texts is the caller's.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, graph: fx.GraphModule, task: str, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.task = task
        self.program = completed(graph)
        self.scale = None
        if isinstance(preprocessing, ImagePreprocessing):
            self.scale = preprocessing.scale
            for name in ("mean", "std"):
                self.register_buffer(name, torch.tensor(getattr(preprocessing, name)).view(1, -1, 1, 1))

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return what `OUTPUTS` names, of pixels 0 to 255, a normalised array or tokens."""
        if self.scale is not None:
            inputs = (inputs * self.scale - self.mean) / self.std
        outputs = self.program(inputs)
        return (outputs, torch.softmax(outputs, -1)) if self.task == CLASSIFICATION else (outputs,)


def model_from_program(program: QuantizedProgram, *, deployment: Deployment, package: Package) -> Converted:
    """Return the Core ML model of a program: an ML program in fp16, batch 1, with labels.

    The normalisation of images stays in fp32, so that the model sees what `arrays.preprocess` computes; every other
    operation is in fp16.

    Raises:
        DependencyError: coremltools is not installed.
        UnsupportedError: an operator of the program has no counterpart in Core ML, or its task no form there.
        DataError: the number of classes is not the number of outputs.
    """
    if package.task not in OUTPUTS:
        raise UnsupportedError("target 'phone-coreml'", found=f"task '{package.task}'", wanted=" or ".join(OUTPUTS))
    ct = coremltools()
    lowering.register()
    exported = _exported(program, package)
    if package.task == CLASSIFICATION:
        _check_labels(exported, package)
    token = lowering.CURRENT.set(lowering.Conversion(_names(program, exported), deployment))
    try:
        with quiet():
            return _converted(ct, exported, deployment, package)
    except EdgeDistillError:
        raise
    except Exception as error:  # coremltools raises of every kind
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsupportedError("conversion to Core ML", found=f"coremltools says: {said}") from error
    finally:
        lowering.CURRENT.reset(token)


def _converted(ct: Any, exported: ExportedProgram, deployment: Deployment, package: Package) -> Converted:  # noqa: ANN401 - coremltools has no types
    import numpy as np  # noqa: PLC0415 - beside its only reader

    target = getattr(ct.target, deployment)
    pipeline = ct.PassPipeline.DEFAULT  # a new one each time: ct.convert changes the one it is given
    pipeline.remove_passes(set(LEFT_OUT))
    intermediate = ct.convert(
        exported,
        convert_to="milinternal",
        minimum_deployment_target=target,
        compute_precision=ct.transform.FP16ComputePrecision(op_selector=_is_half(package)),
        pass_pipeline=pipeline,
        inputs=[_input(ct, package)],
        outputs=[ct.TensorType(name=name, dtype=np.float32) for name in OUTPUTS[package.task]],
    )
    # a classifier with a second output is refused as long as the types of outputs are given; they are applied by now
    intermediate.functions["main"].output_types = None
    model = ct.convert(
        intermediate,
        convert_to="mlprogram",
        minimum_deployment_target=target,
        pass_pipeline=ct.PassPipeline.EMPTY,
        classifier_config=_labels(ct, package),
    )
    return Converted(model.get_spec(), Path(model.weights_dir))


def _labels(ct: Any, package: Package) -> Any:  # noqa: ANN401 - as above
    if package.task != CLASSIFICATION:
        return None
    return ct.ClassifierConfig(
        list(package.classes), predicted_feature_name=LABEL, predicted_probabilities_output=PROBABILITIES
    )


def _is_half(package: Package) -> Any:  # noqa: ANN401 - as above
    """Return which operations are computed in fp16: all but the first three of an image's normalisation."""
    if not isinstance(package.preprocessing, ImagePreprocessing):
        return lambda _: True
    chain = {"image"}

    def is_half(operation: Any) -> bool:  # noqa: ANN401 - as above
        inputs = {variable.name for variable in operation.inputs.values() if hasattr(variable, "name")}
        if operation.op_type in IN_FULL and inputs & chain:
            chain.update(variable.name for variable in operation.outputs)
            return False
        return True

    return is_half


def _input(ct: Any, package: Package) -> Any:  # noqa: ANN401 - as above
    import numpy as np  # noqa: PLC0415 - beside its only reader

    shape = (1, *package.preprocessing.input_shape)
    if isinstance(package.preprocessing, ImagePreprocessing):
        layout = ct.colorlayout.GRAYSCALE if package.preprocessing.channels == 1 else ct.colorlayout.RGB
        return ct.ImageType(name=IMAGE, shape=shape, color_layout=layout)
    name, dtype = input_of(package.preprocessing)
    return ct.TensorType(name=name, shape=shape, dtype=np.dtype(dtype).type)


def input_of(preprocessing: Preprocessing) -> tuple[str, str]:
    """Return the name of the model's input and the type of its numbers: pixels, a normalised array, or tokens."""
    if isinstance(preprocessing, ImagePreprocessing):
        return IMAGE, "float32"
    return (TOKENS, "int32") if preprocessing.kind == "text" else (ARRAY, "float32")


def _exported(program: QuantizedProgram, package: Package) -> ExportedProgram:
    dtype = getattr(torch, input_of(package.preprocessing)[1])
    example = torch.zeros(1, *package.preprocessing.input_shape, dtype=dtype)
    module = Deployed(program.graph, package.task, package.preprocessing).eval()
    try:
        with quiet():
            return decomposed(torch.export.export(module, (example,)))
    except Exception as error:  # torch.export raises of every kind
        raise ShapeError(
            "program for Core ML",
            found=f"it does not take one input of shape {tuple(example.shape)}: {str(error).strip().splitlines()[0]}",
            fix="give the recipe the preprocessing that the program was trained with",
        ) from error


def decomposed(exported: ExportedProgram) -> ExportedProgram:
    """Return a program in the form that coremltools takes: an operator that it does not know as what torch makes of it.

    Whatever torch has no decomposition for stays.
    """
    plain: ExportedProgram = exported.run_decompositions({})
    known = part("coremltools.converters.mil.frontend.torch").is_torch_fx_node_supported
    unknown = {
        node.target
        for node in plain.graph.nodes
        if node.op == "call_function" and node.target not in (QUANTIZE, DEQUANTIZE) and not known(node)
    }
    table = torch.export.default_decompositions()
    possible = {operator: table[operator] for operator in unknown if operator in table}
    return plain.run_decompositions(possible) if possible else plain


def _check_labels(exported: ExportedProgram, package: Package) -> None:
    output = next(node for node in exported.graph.nodes if node.op == "output")
    shape = tuple(output.args[0][0].meta["val"].shape)
    if shape != (1, len(package.classes)):
        raise DataError(
            "class labels",
            found=f"{len(package.classes)} names for a program with outputs of shape {shape}",
            wanted=f"{shape[-1]} names",
            fix="list them in label order under `data.classes`",
        )


def _names(program: QuantizedProgram, exported: ExportedProgram) -> Mapping[str, str]:
    """Return the name of the program's tensor by the name of the input that holds its scale."""
    by_buffer = {
        f"program.{node.args[1].target}": node.name
        for node in program.graph.graph.nodes
        if node.target is QUANTIZE or (node.target is DEQUANTIZE and node.args[0].op == "get_attr")
    }
    inputs = exported.graph_signature.inputs_to_buffers
    return {name: by_buffer[buffer] for name, buffer in inputs.items() if buffer in by_buffer}
