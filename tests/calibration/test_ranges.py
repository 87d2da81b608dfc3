"""Ranges against exact numpy on the values themselves, with the errors that the docstrings state."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgedistill.calibration.divergence import CELLS, STRIDE, least_divergent_threshold
from edgedistill.calibration.histogram import Histogram
from edgedistill.calibration.quantization_error import mean_squared_errors
from edgedistill.calibration.ranges import (
    Form,
    Range,
    choose_range,
    entropy,
    least_squares,
    min_max,
    moving_average,
    percentile,
)
from edgedistill.errors import DataError, InputError
from edgedistill.quantize.spec import QuantSpec, Symmetry

SIZE = 20_000
CODES = {Form.ASYMMETRIC: 256, Form.SYMMETRIC: 255}
FORMS = list(Form)
METHODS = ("min-max", "percentile", "mse", "entropy")


def drawn(name: str) -> np.ndarray:
    """Return float32 values as activations have them."""
    generator = np.random.default_rng(0)
    normal = generator.standard_normal(SIZE)
    values = {
        "normal": lambda: normal,
        "laplace": lambda: generator.laplace(size=SIZE),
        "student-t": lambda: generator.standard_t(2.5, SIZE),
        "relu": lambda: np.maximum(generator.laplace(size=SIZE), 0),
        "relu6": lambda: np.clip(3 * normal, 0, 6),
        "silu": lambda: 2 * normal / (1 + np.exp(-2 * normal)),
        "lopsided": lambda: np.where(normal < 0, 0.05 * normal, generator.standard_t(3, SIZE) ** 2),
        "negative": lambda: -abs(normal),
    }
    return values[name]().astype(np.float32)


NAMES = ("normal", "laplace", "student-t", "relu", "relu6", "silu", "lopsided", "negative")


def histogram_of(values: np.ndarray) -> Histogram:
    histogram = Histogram()
    for part in np.array_split(values, 3):
        histogram.update(part)
    return histogram


def error_of(values: np.ndarray, low: float, high: float, codes: int) -> float:
    """Return the mean squared error of rounding, in float64 on the values themselves."""
    step = (high - low) / (codes - 1)
    zero = np.rint(-low / step)
    rounded = np.clip(np.rint(values.astype(np.float64) / step), -zero, codes - 1 - zero) * step
    return float(((rounded - values) ** 2).mean())


def least_error(values: np.ndarray, form: Form) -> float:
    """Return the least error of a search of everything: 120 thresholds, or 30 x 30 of low and high, then finer."""
    codes = CODES[form]
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if form is Form.SYMMETRIC:
        top = max(-low, high)
        return min(error_of(values, -top * share, top * share, codes) for share in np.geomspace(0.01, 1, 120))
    shares = np.geomspace(0.02, 1, 30)
    lows, highs = ([end * share for share in shares] if end else [0.0] for end in (low, high))
    _, low, high = min((error_of(values[::8], a, b, codes), a, b) for a in lows for b in highs)
    fine = np.geomspace(0.8, 1.25, 13)
    return min(error_of(values, low * a, high * b, codes) for a in fine for b in fine)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_the_squared_error_is_within_2_percent_of_the_least(name: str, form: Form) -> None:
    values = drawn(name)
    found = least_squares(histogram_of(values), form=form, codes=CODES[form])
    assert error_of(values, found.low, found.high, CODES[form]) <= 1.02 * least_error(values, form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_the_expected_error_is_within_1_percent_of_the_exact_one(name: str, form: Form) -> None:
    values, codes = drawn(name), CODES[form]
    bins = histogram_of(values).distribution()
    top = float(abs(values).max())
    for share in (1.0, 0.5, 0.1):
        low, high = (-top * share, top * share) if form is Form.SYMMETRIC else (-0.3 * top * share, top * share)
        found = mean_squared_errors(bins, np.array([low]), np.array([high]), codes=codes)[0]
        # 20,000 values in 256 steps leave some chance in the exact error too
        assert found == pytest.approx(error_of(values, low, high, codes), rel=0.03 if share == 1.0 else 0.015)


def test_the_expected_error_of_single_values_is_exact() -> None:
    values = np.array([-1.0, 0.0, 0.3, 0.3, 2.0], np.float32)
    for value in values:
        bins = histogram_of(np.full(3, value)).distribution()
        found = mean_squared_errors(bins, np.array([-0.5]), np.array([1.5]), codes=9)[0]
        assert found == pytest.approx(error_of(np.array([value]), -0.5, 1.5, 9), rel=1e-12, abs=1e-18)


def test_the_expected_error_of_evenly_spread_values_is_a_twelfth_of_the_squared_step() -> None:
    values = np.linspace(1, 2, 1 << 20, dtype=np.float32)
    bins = histogram_of(values).distribution()
    found = mean_squared_errors(bins, np.zeros(1), np.full(1, 2.0), codes=201)[0]
    assert found == pytest.approx(0.01**2 / 12, rel=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("percent", [50.0, 99.0, 99.99])
@pytest.mark.parametrize("name", NAMES)
def test_the_percentile_is_within_a_256th_of_the_exact_one(name: str, percent: float, form: Form) -> None:
    values = drawn(name)
    found = percentile(histogram_of(values), form=form, percent=percent)
    exact = np.percentile(abs(values.astype(np.float64)), percent, method="inverted_cdf")
    assert max(-found.low, found.high) == pytest.approx(exact, rel=2.0**-8)


@pytest.mark.parametrize("name", NAMES)
def test_the_hundredth_percentile_is_min_max(name: str) -> None:
    histogram = histogram_of(drawn(name))
    for form in FORMS:
        assert percentile(histogram, form=form, percent=100) == min_max(histogram, form=form)


@pytest.mark.parametrize("name", NAMES)
def test_min_max_is_exact(name: str) -> None:
    values = drawn(name)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    assert min_max(histogram_of(values), form=Form.ASYMMETRIC) == Range(low, high)
    top = max(-low, high)
    assert min_max(histogram_of(values), form=Form.SYMMETRIC) == Range(-top, top)


@given(
    arrays(np.float32, st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=32)),
    st.sampled_from(METHODS),
    st.sampled_from(FORMS),
)
def test_a_range_holds_zero_and_lies_within_the_values(values: np.ndarray, method: str, form: Form) -> None:
    found = choose_range(histogram_of(values), method, form=form, codes=CODES[form])
    assert found.low <= 0 <= found.high
    top = float(abs(values).max())
    assert found.width <= 2.01 * top
    assert (found.width > 0) == (top > 0) or method == "percentile"
    if form is Form.SYMMETRIC:
        assert found.low == pytest.approx(-found.high)


@given(st.floats(2.0**-20, 2.0**20), st.sampled_from(METHODS), st.sampled_from(FORMS))
def test_a_range_scales_with_the_values(factor: float, method: str, form: Form) -> None:
    factor = 2.0 ** round(np.log2(factor))  # bins move as a whole
    values = drawn("silu")[:2000]
    one = choose_range(histogram_of(values), method, form=form, codes=CODES[form])
    other = choose_range(histogram_of(values * np.float32(factor)), method, form=form, codes=CODES[form])
    assert other.low == pytest.approx(one.low * factor, rel=1e-6)
    assert other.high == pytest.approx(one.high * factor, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_zero_is_a_code_of_the_least_squares_range(name: str) -> None:
    found = least_squares(histogram_of(drawn(name)), form=Form.ASYMMETRIC, codes=256)
    assert -found.low / (found.width / 255) == pytest.approx(round(-found.low / (found.width / 255)), abs=1e-9)


def test_an_outlier_is_clipped_by_all_but_min_max() -> None:
    values = np.append(drawn("normal"), np.float32(40))
    for method in ("percentile", "mse", "entropy"):
        found = choose_range(histogram_of(values), method, form=Form.SYMMETRIC, codes=255)
        assert 2 < found.high < 39, method
    assert choose_range(histogram_of(values), "min-max", form=Form.SYMMETRIC, codes=255).high == 40


def test_a_clamped_activation_keeps_its_ceiling() -> None:
    histogram = histogram_of(drawn("relu6"))
    for method in METHODS:
        assert choose_range(histogram, method, form=Form.ASYMMETRIC, codes=256) == Range(0.0, 6.0), method


def naive_divergence(magnitudes: np.ndarray, top: float, kept: int, levels: int) -> float:
    """Return the divergence of one threshold by loops over cells, from the values themselves."""
    counts = np.bincount(np.minimum((magnitudes / top * CELLS).astype(int), CELLS - 1), minlength=CELLS).astype(float)
    counts[0] = counts[1]
    reference = counts[:kept].copy()
    borders = np.rint(np.linspace(0, kept, levels + 1)).astype(int)
    rounded = np.zeros(kept)
    for start, end in itertools.pairwise(borders):
        occupied = reference[start:end] > 0
        rounded[start:end][occupied] = reference[start:end].sum() / max(1, occupied.sum())
    reference[-1] += counts[kept:].sum()
    rounded[(reference > 0) & (rounded == 0)] = 1e-9 * reference.sum()
    p, q = reference / reference.sum(), rounded / rounded.sum()
    return float(sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0))


@pytest.mark.parametrize("name", ["normal", "laplace", "student-t"])
def test_the_entropy_threshold_is_nearly_the_least_divergent_one(name: str) -> None:
    values = drawn(name)
    magnitudes = abs(values.astype(np.float64))
    top = float(magnitudes.max())
    threshold = least_divergent_threshold(histogram_of(values).distribution(), levels=128)
    kept = round(threshold / top * CELLS)
    found = naive_divergence(magnitudes, top, kept, 128)
    tried = [naive_divergence(magnitudes, top, other, 128) for other in range(128, CELLS + 1, 8 * STRIDE)]
    assert (kept - 128) % STRIDE == 0
    assert found <= min(tried) + 0.003


def test_entropy_uses_all_codes_for_one_sided_values() -> None:
    values = drawn("relu")
    assert (
        entropy(histogram_of(values), form=Form.ASYMMETRIC, codes=256).high
        >= entropy(histogram_of(values), form=Form.SYMMETRIC, codes=255).high
    )


def test_a_moving_average_starts_with_the_first_and_forgets_slowly() -> None:
    average = None
    for high in (1.0, 3.0, 3.0):
        average = moving_average(average, Range(-1.0, high), decay=0.75)
    assert average == Range(-1.0, 1 * 0.75**2 + 3 * (1 - 0.75**2))


@pytest.mark.parametrize("method", METHODS)
def test_zeros_have_an_empty_range(method: str) -> None:
    found = choose_range(histogram_of(np.zeros(10, np.float32)), method, form=Form.ASYMMETRIC, codes=256)
    assert found == Range(0.0, 0.0)


@pytest.mark.parametrize("method", METHODS)
def test_values_that_are_not_finite_are_refused(method: str) -> None:
    histogram = histogram_of(np.array([1.0, np.nan], np.float32))
    with pytest.raises(DataError, match="calibration of conv"):
        choose_range(histogram, method, form=Form.ASYMMETRIC, codes=256, name="conv")


def test_an_unknown_method_lists_what_there_is() -> None:
    with pytest.raises(InputError, match="did you mean 'entropy'"):
        choose_range(histogram_of(drawn("normal")), "entropie", form=Form.ASYMMETRIC, codes=256)


def test_forms_are_those_of_a_quant_spec() -> None:
    assert [Form(symmetry) for symmetry in Symmetry] == FORMS
    assert Form(QuantSpec().symmetry) is Form.ASYMMETRIC
