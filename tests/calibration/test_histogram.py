"""The histogram: exact where it promises exactness, within 2^-7 where it promises that."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgedistill.calibration.histogram import BINS, CHUNK, Histogram, _flat
from edgedistill.errors import DataError

FLOATS = arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32, allow_nan=False, allow_infinity=False))


def histogram_of(values: object) -> Histogram:
    histogram = Histogram()
    histogram.update(values)
    return histogram


def values_of(seed: int, size: int = 10_000) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(3, size).astype(np.float32)


@given(FLOATS)
def test_every_value_is_in_the_bin_that_has_its_top_16_bits(values: np.ndarray) -> None:
    histogram = histogram_of(values)
    keys = [int.from_bytes(value.tobytes(), sys.byteorder) >> 16 for value in values]
    assert (histogram.counts == np.bincount(keys, minlength=BINS)).all()
    assert histogram.minimum == values.min()
    assert histogram.maximum == values.max()


@given(FLOATS)
def test_bins_ascend_and_hold_their_values(values: np.ndarray) -> None:
    bins = histogram_of(values).distribution()
    assert bins.counts.sum() == values.size
    assert (bins.lower <= bins.upper).all()
    assert (bins.upper[:-1] <= bins.lower[1:]).all()
    normal = abs(bins.centres) > np.finfo(np.float32).tiny
    assert ((bins.upper - bins.lower)[normal] <= 2.0**-7 * abs(bins.centres)[normal]).all()
    inside = (values[:, None] >= bins.lower) & (values[:, None] <= bins.upper)
    assert inside.any(axis=1).all()


@given(FLOATS, FLOATS)
def test_merging_is_the_histogram_of_all_values(one: np.ndarray, other: np.ndarray) -> None:
    merged = histogram_of(one)
    merged.merge(histogram_of(other))
    together = histogram_of(np.concatenate([one, other]))
    assert (merged.counts == together.counts).all()
    assert (merged.minimum, merged.maximum) == (together.minimum, together.maximum)


def test_pieces_give_the_same_as_the_whole() -> None:
    values = values_of(0, CHUNK + 12_345)
    keys = values.view(np.uint32) >> 16
    assert (histogram_of(values).counts == np.bincount(keys, minlength=BINS)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_every_dtype_are_counted(dtype: torch.dtype) -> None:
    tensor = torch.from_numpy(values_of(1).reshape(10, 10, 100)).to(dtype).requires_grad_()
    expected = histogram_of(tensor.detach().float().numpy())
    assert (histogram_of(tensor).counts == expected.counts).all()


def test_no_copy_is_made_where_values_lie_side_by_side() -> None:
    array = values_of(2, 4 * 3 * 5 * 7).reshape(4, 3, 5, 7)
    tensor = torch.from_numpy(array)
    for view in (array, array.transpose(3, 1, 0, 2), tensor, tensor.permute(0, 2, 3, 1)):
        assert np.shares_memory(_flat(view), array)
    channels_last = tensor.to(memory_format=torch.channels_last)
    assert np.shares_memory(_flat(channels_last), channels_last.numpy())
    assert (histogram_of(channels_last).counts == histogram_of(array).counts).all()
    assert (histogram_of(array[:, :, ::2]).counts == histogram_of(array[:, :, ::2].copy()).counts).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.float32("nan") * -1])
def test_nan_and_infinity_are_counted_and_refused_at_the_end(value: float) -> None:
    values = values_of(3)
    values[[5, 77]] = value
    histogram = histogram_of(values)
    assert histogram.not_finite == 2
    finite = values[np.isfinite(values)]
    assert (histogram.minimum, histogram.maximum) == (finite.min(), finite.max())
    with pytest.raises(DataError, match="calibration of relu_3: 2 of 10000 values are NaN or infinite"):
        histogram.distribution("relu_3")


def test_a_nan_with_only_low_bits_is_no_infinity_of_its_own() -> None:
    values = np.array([0x7F80_0001, 0xFF80_0001], np.uint32).view(np.float32)
    assert histogram_of(values).not_finite == 2


def test_a_float64_beyond_float32_counts_as_infinite() -> None:
    assert histogram_of(np.array([1.0, 1e300])).not_finite == 1


def test_an_empty_histogram_is_refused() -> None:
    histogram = histogram_of(np.zeros((0, 3), np.float32))
    assert histogram.total == 0
    with pytest.raises(DataError, match="no values"):
        histogram.distribution()


def test_a_single_value_is_a_bin_of_no_width() -> None:
    bins = histogram_of(np.full(9, 6.0, np.float32)).distribution()
    assert (bins.lower, bins.upper, bins.counts) == ([6.0], [6.0], [9])


def test_calibration_loads_no_torch() -> None:
    modules = ("histogram", "ranges", "samples")
    program = (
        f"import sys, {', '.join(f'edgedistill.calibration.{name}' for name in modules)};"
        "assert 'torch' not in sys.modules and 'edgedistill.recipe' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
