"""What an ONNX model must keep so that TensorRT computes what it says, in INT8: one table, for any model.

Pure; needs onnx and numpy only. "Measured" means: by TensorRT-RTX 1.7.1.116, which holds NVIDIA's own parser, network
optimizer and Q/DQ passes and runs without a GPU; `benchmarks/jetson_rules.py` compares both graph by graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.targets.base import Issue, Severity
from edgedistill.targets.jetson_tensorrt import dla, rules_numbers, rules_placement
from edgedistill.targets.jetson_tensorrt.finding import Effect, Rule, Setting, Where
from edgedistill.targets.jetson_tensorrt.network import Network

if TYPE_CHECKING:
    from onnx import ModelProto

SEVERITY = {
    Effect.REFUSED: Severity.ERROR,
    Effect.CRASH: Severity.ERROR,
    Effect.WRONG: Severity.ERROR,
    Effect.FLOAT: Severity.WARNING,
    Effect.SLOW: Severity.WARNING,
    Effect.NOTE: Severity.NOTE,
}
PARSER = "onnx-tensorrt's importers for 8.6 and 10.1; measured"
PLACEMENT = "TensorRT documentation, Q/DQ placement recommendations; not measurable without a GPU"

RULES = (
    Rule(
        "TRT001",
        Effect.REFUSED,
        "the parser refuses zero points other than 0",
        "quantize symmetrically: int8, zero point 0",
        PARSER,
        rules_numbers.nonzero_zero_points,
    ),
    Rule(
        "TRT002",
        Effect.WRONG,
        "parsers to 10.1 refuse uint8; later ones read it as int8, so that codes above 127 saturate",
        "quantize activations to int8 with zero point 0",
        PARSER,
        rules_numbers.unsigned_activations,
    ),
    Rule(
        "TRT003",
        Effect.WRONG,
        "ONNX reads a missing zero point as uint8, TensorRT as int8: codes above 127 saturate",
        "write an explicit int8 zero point of 0",
        "ONNX QuantizeLinear; measured",
        rules_numbers.implied_unsigned,
    ),
    Rule(
        "TRT004",
        Effect.CRASH,
        "the builder ends the process with a segmentation fault",
        "calibrate, and store every scale as a constant",
        "measured",
        rules_numbers.computed_scales,
    ),
    Rule(
        "TRT005",
        Effect.REFUSED,
        "the parser refuses scales that are not positive numbers",
        "calibrate again; a range of 0 needs the smallest positive scale",
        PARSER,
        rules_numbers.impossible_scales,
    ),
    Rule(
        "TRT006",
        Effect.REFUSED,
        "scales, zero points and channels must be equally many",
        "give each channel along `axis` one scale and one zero point",
        PARSER,
        rules_numbers.unequal_sizes,
    ),
    Rule(
        "TRT007",
        Effect.REFUSED,
        "the parser refuses int32 codes, in which ONNX Runtime's quantizer stores biases",
        "keep biases in float: `extra_options={'QuantizeBias': False}` in onnxruntime's quantize_static",
        PARSER,
        rules_numbers.quantized_biases,
    ),
    Rule(
        "TRT008",
        Effect.REFUSED,
        "TensorRT has no integer operators of ONNX: QLinear..., ...Integer, DynamicQuantizeLinear",
        "export in QDQ form: `quant_format=QuantFormat.QDQ`, static quantization",
        PARSER,
        rules_numbers.integer_operators,
    ),
    Rule(
        "TRT009",
        Effect.REFUSED,
        "the parser refuses uint8 constants",
        "store weights as int8",
        "measured",
        rules_numbers.unsigned_weights,
    ),
    Rule(
        "TRT010",
        Effect.REFUSED,
        "TensorRT quantizes to int8, int4, fp8 and fp4 only",
        "quantize to int8",
        "measured for int16",
        rules_numbers.other_integers,
    ),
    Rule(
        "TRT011",
        Effect.REFUSED,
        "this GPU has no such arithmetic",
        "quantize to int8",
        "TensorRT support matrix: Orin has FP16, INT8 and INT4 only",
        rules_numbers.types_of_later_gpus,
    ),
    Rule(
        "TRT012",
        Effect.REFUSED,
        "zero points must be constants",
        "store an int8 zero point of 0",
        PARSER,
        rules_numbers.computed_zero_points,
    ),
    Rule(
        "TRT013",
        Effect.REFUSED,
        "fp16 scales exist from opset 19 on",
        "export with opset 19 or newer, or with float32 scales",
        "ONNX QuantizeLinear",
        rules_numbers.half_scales_too_early,
    ),
    Rule(
        "TRT014",
        Effect.REFUSED,
        "several scales exist from opset 13 on",
        "export with opset 13 or newer",
        "ONNX QuantizeLinear",
        rules_numbers.per_channel_too_early,
    ),
    Rule(
        "TRT015",
        Effect.REFUSED,
        "the parser does not have the operator",
        "replace it, or write a plugin",
        "OnnxParser.supports_operator of TensorRT-RTX 1.7",
        rules_numbers.unknown_operators,
    ),
    Rule(
        "TRT016",
        Effect.REFUSED,
        "the model is no valid ONNX; what a parser makes of it differs by version",
        "export it again",
        "onnx.checker",
        rules_numbers.invalid_model,
    ),
    Rule(
        "TRT016",
        Effect.REFUSED,
        "the parser refuses channels that do not fit",
        "export it again",
        "measured",
        rules_numbers.unequal_channels,
    ),
    Rule(
        "TRT017",
        Effect.NOTE,
        "the version's documentation does not list this opset; newer operators may be refused",
        "export with opset 17 for TensorRT 8, 19 for 10",
        "TensorRT release notes",
        rules_numbers.too_new_opset,
    ),
    Rule(
        "TRT018",
        Effect.NOTE,
        "the build needs an optimization profile: `--shapes=NAME:1x...`",
        "fix every dimension where the application needs only one size",
        "TensorRT documentation, dynamic shapes",
        rules_numbers.free_shapes,
        where=Where.GPU,
    ),
    Rule(
        "TRT019",
        Effect.NOTE,
        "the rules do not look into graphs inside nodes",
        "unroll loops and take branches out before export",
        "this checker",
        rules_numbers.subgraphs,
    ),
    Rule(
        "TRT020",
        Effect.FLOAT,
        "a product runs in INT8 only if both operands are codes; this one runs in float, without a message",
        "put Q and DQ on the input and on the weight",
        "measured",
        rules_placement.half_quantized,
    ),
    Rule(
        "TRT021",
        Effect.FLOAT,
        "the weight is dequantized first and the layer runs in float, without a message",
        "scales along the output channels: Conv axis 0, Gemm axis 1 (0 with transB), MatMul the last",
        "measured for Conv, Gemm and MatMul",
        rules_placement.wrong_weight_axis,
    ),
    Rule(
        "TRT022",
        Effect.FLOAT,
        "activations have one scale in TensorRT; what reads this one runs in float, without a message",
        "one scale for the whole activation",
        "TensorRT documentation, explicit quantization; measured",
        rules_placement.per_channel_activations,
    ),
    Rule(
        "TRT023",
        Effect.FLOAT,
        "the layer runs in float beside quantized ones",
        "quantize its input and its weight, unless it is left in float on purpose",
        "measured",
        rules_placement.not_quantized,
    ),
    Rule(
        "TRT024",
        Effect.FLOAT,
        "INT8 transposed convolutions run in float (TensorRT-RTX) or fail with per-channel scales (reports)",
        "leave it in FP16, or use resize and convolution",
        "measured; NVIDIA/TensorRT issues 1519, 1699, 2380, 4366",
        rules_placement.transposed_convolutions,
    ),
    Rule(
        "TRT025",
        Effect.FLOAT,
        "TensorRT 11 has no calibrators: a model without Q and DQ is not INT8",
        "quantize with `edgedistill quantize`, or ship it as FP16",
        "TensorRT 11 release notes: IInt8Calibrator and BuilderFlag.INT8 are gone",
        rules_placement.no_quantization,
    ),
    Rule(
        "TRT030",
        Effect.SLOW,
        "the convolution and what follows it are not fused: one more pass over memory, one more rounding",
        "put Q and DQ after the activation",
        PLACEMENT,
        rules_placement.quantized_before_activation,
        where=Where.GPU,
    ),
    Rule(
        "TRT031",
        Effect.SLOW,
        "the sum is not fused to the convolution",
        "leave the convolution's result in float and quantize only the skip input",
        PLACEMENT,
        rules_placement.quantized_sum_branch,
        where=Where.GPU,
    ),
    Rule(
        "TRT032",
        Effect.SLOW,
        "the convolution's output stays in float, because its fused sum reads one in float",
        "put Q and DQ on the skip input",
        PLACEMENT,
        rules_placement.float_skip_input,
        where=Where.GPU,
    ),
    Rule(
        "TRT033",
        Effect.SLOW,
        "a layer without weights that reads codes runs in INT8 only if its result is codes again",
        "put Q and DQ after it",
        PLACEMENT,
        rules_placement.float_result,
        where=Where.GPU,
    ),
    Rule(
        "TRT034",
        Effect.FLOAT,
        "what reads codes of different scales, joined, runs in float, without a message",
        "give all inputs of the Concat one scale, or put Q and DQ after it",
        "measured",
        rules_placement.unequal_concatenation,
    ),
    Rule(
        "TRT035",
        Effect.SLOW,
        "TensorRT 11 is strongly typed: what is not quantized runs in float32",
        "type the remainder as fp16 before the build (opset 19, fp16 scales)",
        "TensorRT 11 release notes: BuilderFlag.FP16 is gone",
        rules_placement.float32_remainder,
        since=(11, 0),
    ),
    Rule(
        "DLA001",
        Effect.REFUSED,
        "DLA takes fixed shapes only",
        "fix every dimension",
        "TensorRT documentation, Working with DLA",
        rules_numbers.free_shapes,
        where=Where.DLA,
    ),
    Rule(
        "DLA002",
        Effect.FLOAT,
        "the layer falls back to the GPU, with a copy each way",
        "replace the operator, or keep it at the end of the network",
        "NVIDIA Deep-Learning-Accelerator-SW, operators of Orin; not measured",
        dla.gpu_fallbacks,
        where=Where.DLA,
    ),
    Rule(
        "DLA003",
        Effect.REFUSED,
        "beyond what DLA addresses",
        "smaller batch or image",
        "TensorRT documentation, Working with DLA; not measured",
        dla.too_large,
        where=Where.DLA,
    ),
    Rule(
        "DLA004",
        Effect.FLOAT,
        "before TensorRT 11.4.1 (JetPack 7.2.2, AGX Orin) DLA does not run Q and DQ: the layers go to the GPU",
        "use the artifact's form without Q and DQ with its calibration cache",
        "NVIDIA qdq-translator; TensorRT 11.4 release notes; not measured",
        dla.explicit_quantization,
        before=dla.QDQ_SINCE,
        where=Where.DLA,
    ),
)


def broken_rules(model: ModelProto, setting: Setting) -> list[Issue]:
    """Return every broken rule of any ONNX model, in the table's order; the model is not changed.

    Args:
        model: external data need not be loaded; a scale that is kept there counts as computed.
        setting: TensorRT's version, DLA or not, the GPU.
    """
    network = Network(model)
    return [
        Issue(rule.name, finding.node, SEVERITY[rule.effect], f"{finding.detail}: {rule.happens}", rule.fix)
        for rule in RULES
        if rule.holds_for(setting)
        for finding in rule.find(network, setting)
    ]
