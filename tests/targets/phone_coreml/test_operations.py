"""Operations against closed forms, and against coremltools' own evaluation of constants."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgedistill.targets.phone_coreml.operations import OPERATIONS, Arguments
from edgedistill.targets.phone_coreml.vendor import part, quiet

GENERATOR = np.random.default_rng


def tensor(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(GENERATOR(seed).normal(size=shape).astype(np.float32))


def ints(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int32)


def computed(kind: str, **arguments: Any) -> Any:  # noqa: ANN401 - tensors, lists and texts
    return OPERATIONS[kind](Arguments(arguments))


def test_quantize_divides_and_rounds_half_to_even() -> None:
    x, scale = torch.tensor([0.25, 0.75, -1.25, 400.0]), torch.tensor(0.5)
    found = computed(
        "quantize", input=x, scale=scale, zero_point=torch.tensor(3, dtype=torch.uint8), output_dtype="uint8"
    )
    assert found.tolist() == [3, 5, 1, 255]


def test_dequantize_along_an_axis() -> None:
    codes = torch.tensor([[1, 2], [3, 4]], dtype=torch.int8)
    found = computed("dequantize", input=codes, scale=torch.tensor([0.5, 2.0]), axis=torch.tensor(0))
    assert found.tolist() == [[0.5, 1.0], [6.0, 8.0]]


def test_a_weight_has_the_same_values_in_both_forms() -> None:
    codes = torch.from_numpy(GENERATOR(0).integers(-127, 128, (4, 3, 1, 1)).astype(np.int8))
    scale = torch.tensor([0.5, 1.0, 2.0, 0.25])
    affine = computed(
        "constexpr_affine_dequantize",
        quantized_data=codes,
        zero_point=torch.zeros(4, dtype=torch.int8),
        scale=scale,
        axis=torch.tensor(0),
    )
    blockwise = computed("constexpr_blockwise_shift_scale", data=codes, scale=scale.reshape(4, 1, 1, 1))
    assert torch.equal(affine, blockwise)
    assert torch.equal(affine, codes.float() * scale.reshape(4, 1, 1, 1))


def test_a_blockwise_scale_covers_its_block() -> None:
    codes = torch.ones(1, 4, dtype=torch.int8)
    found = computed("constexpr_blockwise_shift_scale", data=codes, scale=torch.tensor([[2.0, 3.0]]))
    assert found.tolist() == [[2, 2, 3, 3]]


@pytest.mark.parametrize(
    ("pad_type", "pads"), [("valid", None), ("custom", (1, 2, 0, 1)), ("same", None), ("same_lower", None)]
)
def test_convolution_with_every_padding(pad_type: str, pads: tuple[int, ...] | None) -> None:
    x, weight = tensor(2, 4, 7, 6), tensor(6, 2, 3, 2, seed=1)
    arguments = {"x": x, "weight": weight, "strides": ints(2, 1), "groups": torch.tensor(2), "pad_type": pad_type}
    if pads:
        arguments["pad"] = ints(*pads)
    before = {"valid": (0, 0, 0, 0), "custom": (0, 1, 1, 2), "same": (0, 1, 1, 1), "same_lower": (1, 0, 1, 1)}[pad_type]
    wanted = functional.conv2d(functional.pad(x, before), weight, stride=(2, 1), groups=2)
    torch.testing.assert_close(computed("conv", **arguments), wanted)


def test_transposed_convolution_crops_its_padding() -> None:
    x, weight = tensor(1, 3, 5, 5), tensor(3, 2, 4, 4, seed=1)
    found = computed("conv_transpose", x=x, weight=weight, strides=ints(2, 2), pad_type="custom", pad=ints(1, 1, 1, 1))
    torch.testing.assert_close(found, functional.conv_transpose2d(x, weight, stride=2, padding=1))


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("exclude", [False, True])
def test_average_pooling(*, ceil: bool, exclude: bool) -> None:
    x = tensor(1, 2, 7, 7)
    found = computed(
        "avg_pool",
        x=x,
        kernel_sizes=ints(3, 3),
        strides=ints(2, 2),
        pad_type="custom",
        pad=ints(1, 1, 1, 1),
        ceil_mode=torch.tensor(ceil),
        exclude_padding_from_average=torch.tensor(exclude),
    )
    wanted = functional.avg_pool2d(x, 3, 2, 1, ceil_mode=ceil, count_include_pad=not exclude)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("ceil", [False, True])
def test_maximum_pooling(*, ceil: bool) -> None:
    x = tensor(1, 2, 8, 8)
    found = computed(
        "max_pool", x=x, kernel_sizes=ints(3, 3), strides=ints(2, 2), pad_type="valid", ceil_mode=torch.tensor(ceil)
    )
    torch.testing.assert_close(found, functional.max_pool2d(x, 3, 2, ceil_mode=ceil))


def test_norms() -> None:
    x, gamma, beta = tensor(2, 4, 5), tensor(5, seed=1), tensor(5, seed=2)
    found = computed("layer_norm", x=x, axes=ints(-1), gamma=gamma, beta=beta, epsilon=torch.tensor(1e-5))
    torch.testing.assert_close(found, functional.layer_norm(x, (5,), gamma, beta, 1e-5))
    mean, variance = tensor(4, seed=3), tensor(4, seed=4).abs()
    found = computed("batch_norm", x=x, mean=mean, variance=variance, epsilon=torch.tensor(1e-5))
    torch.testing.assert_close(found, functional.batch_norm(x, mean, variance, eps=1e-5))
    torch.testing.assert_close(computed("instance_norm", x=x), functional.instance_norm(x))


def test_slices_splits_and_gathers() -> None:
    x = torch.arange(24.0).reshape(2, 3, 4)
    masks = {"begin_mask": ints(1, 0, 0), "end_mask": ints(1, 0, 1), "squeeze_mask": ints(0, 1, 0)}
    found = computed("slice_by_index", x=x, begin=ints(0, 1, 1), end=ints(0, 2, 0), stride=ints(1, 1, 2), **masks)
    assert torch.equal(found, x[:, 1, 1::2])
    parts = computed("split", x=x, split_sizes=ints(1, 2), axis=torch.tensor(1))
    assert [part.shape[1] for part in parts] == [1, 2]
    assert torch.equal(computed("gather", x=x, indices=ints(-1, 0), axis=torch.tensor(2)), x[..., [3, 0]])


def test_padding_counts_from_the_first_axis() -> None:
    x = tensor(1, 2, 3, 3)
    found = computed("pad", x=x, pad=ints(0, 0, 0, 0, 1, 2, 3, 0), mode="constant", constant_val=torch.tensor(7.0))
    torch.testing.assert_close(found, functional.pad(x, (3, 0, 1, 2), value=7.0))
    found = computed("pad", x=x, pad=ints(0, 0, 0, 0, 1, 1, 1, 1), mode="reflect")
    torch.testing.assert_close(found, functional.pad(x, (1, 1, 1, 1), mode="reflect"))


def test_upsampling() -> None:
    x = tensor(1, 2, 3, 4)
    factors = {"scale_factor_height": torch.tensor(2.0), "scale_factor_width": torch.tensor(2.0)}
    found = computed("upsample_bilinear", x=x, align_corners=torch.tensor(True), **factors)
    torch.testing.assert_close(found, functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True))
    found = computed("upsample_nearest_neighbor", x=x, **factors)
    torch.testing.assert_close(found, functional.interpolate(x, scale_factor=2))


UNARY = ("relu", "relu6", "sigmoid", "tanh", "erf", "exp", "abs", "square")
BINARY = ("add", "sub", "mul", "real_div", "maximum", "minimum")


@pytest.mark.parametrize("kind", UNARY)
def test_unary_operations_equal_apples_own_evaluation(kind: str) -> None:
    x = GENERATOR(0).normal(size=(3, 4)).astype(np.float32)
    wanted = evaluated(lambda builder: getattr(builder, kind)(x=x))
    np.testing.assert_allclose(computed(kind, x=torch.from_numpy(x)).numpy(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", BINARY)
def test_binary_operations_equal_apples_own_evaluation(kind: str) -> None:
    x, y = (GENERATOR(seed).normal(size=(3, 4)).astype(np.float32) for seed in (0, 1))
    wanted = evaluated(lambda builder: getattr(builder, kind)(x=x, y=y))
    found = computed(kind, x=torch.from_numpy(x), y=torch.from_numpy(y))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("softmax", {"axis": np.int32(-1)}),
        ("gelu", {"mode": "EXACT"}),
        ("gelu", {"mode": "TANH_APPROXIMATION"}),
        ("clip", {"alpha": np.float32(-0.5), "beta": np.float32(0.5)}),
        ("sigmoid_hard", {"alpha": np.float32(1 / 6), "beta": np.float32(0.5)}),
        ("leaky_relu", {"alpha": np.float32(0.1)}),
        ("transpose", {"perm": np.array([1, 0], np.int32)}),
        ("reshape", {"shape": np.array([4, 3], np.int32)}),
        ("expand_dims", {"axes": np.array([0, 2], np.int32)}),
        ("tile", {"reps": np.array([2, 1], np.int32)}),
        ("reduce_mean", {"axes": np.array([1], np.int32), "keep_dims": True}),
        ("reduce_sum", {"axes": np.array([0], np.int32), "keep_dims": False}),
        ("reduce_max", {"axes": np.array([1], np.int32), "keep_dims": False}),
    ],
)
def test_operations_with_parameters_equal_apples_own_evaluation(kind: str, arguments: dict[str, Any]) -> None:
    x = GENERATOR(0).normal(size=(3, 4)).astype(np.float32)
    wanted = evaluated(lambda builder: getattr(builder, kind)(x=x, **arguments))
    ours = {name: value if isinstance(value, str) else torch.tensor(value) for name, value in arguments.items()}
    found = computed(kind, x=torch.from_numpy(x), **ours)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)


def evaluated(build: Callable[[Any], Any]) -> np.ndarray:
    """Return what coremltools computes for an operation on constants."""
    mil = part("coremltools.converters.mil")
    found: list[np.ndarray] = []

    with quiet():

        @mil.Builder.program(input_specs=[mil.Builder.TensorSpec(shape=(1,))])
        def program(unused: Any) -> Any:  # noqa: ANN401 - coremltools has no types
            found.append(np.asarray(build(mil.Builder).val))
            return unused

    return found[0]


def test_matrix_products_transpose_as_told() -> None:
    x, y = tensor(2, 4, 3), tensor(2, 5, 4, seed=1)
    found = computed("matmul", x=x, y=y, transpose_x=torch.tensor(True), transpose_y=torch.tensor(True))
    torch.testing.assert_close(found, x.mT @ y.mT)


def test_a_classifier_names_the_largest_probability() -> None:
    classes, probabilities = computed("classify", probabilities=torch.tensor([[0.1, 0.9]]), classes=("a", "b"))
    assert classes.tolist() == [1]
    assert probabilities.tolist() == [[pytest.approx(0.1), pytest.approx(0.9)]]
