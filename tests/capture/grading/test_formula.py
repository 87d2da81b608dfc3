"""Formulas compute as mathematics does, and compute nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.capture.grading.definitions import DefinitionError
from edgedistill.capture.grading.formula import FormulaError, parsed_formula

SCORES = {"name": 0.5, "email": 1.0, "min_score": 0.25}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("name", 0.5),
        ("(name + email) / 2", 0.75),
        ("0.5 * name + 0.5 * email", 0.75),
        ("1 - 2 - 3", -4.0),
        ("8 / 4 / 2", 1.0),
        ("2 ^ 3 ^ 2", 512.0),
        ("-2 ^ 2", -4.0),
        ("2 ^ -1", 0.5),
        ("(-2) ^ 2", 4.0),
        ("2 * -3", -6.0),
        ("--1", 1.0),
        ("+1", 1.0),
        ("1 + 2 * 3", 7.0),
        ("min(name, email, 0.1)", 0.1),
        ("max(name)", 0.5),
        ("abs(-name)", 0.5),
        ("floor(1.7) + ceil(1.2)", 3.0),
        ("exp(0) + log(exp(2))", 3.0),
        ("sqrt(4)", 2.0),
        (".5 + 1. + 1e-1 + 2E2", 201.6),
        ("min_score", 0.25),
        (" ( ( name ) ) ", 0.5),
    ],
)
def test_value(text: str, value: float) -> None:
    assert parsed_formula(text, names=SCORES)(SCORES) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the end"),
        ("name +", "the end"),
        ("name email", "'email' at character 6"),
        ("nam", "did you mean 'name'"),
        ("name.real", "'.' at character 5"),
        ("name[0]", "'\\['"),
        ("pow(name, 2)", "no function is called 'pow'"),
        ("__import__('os')", "'''|no function"),
        ("sqrt(1, 2)", "sqrt of 2 numbers"),
        ("min()", "'\\)' at character 5"),
        ("(name", "the end"),
        ("name)", "'\\)'"),
        ("name ** 2", "'\\*' at character 7"),
        ("name if name else 1", "'if'"),
        ("lambda: 1", "':' at character 7"),
        ("(" * 200 + "name", "nested too deep"),
        ("-" * 200 + "name", "nested too deep"),
        ("1+" * 4000 + "1", "at most 4096"),
    ],
)
def test_what_is_no_formula(text: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        parsed_formula(text, names=SCORES)


@pytest.mark.parametrize("text", ["1 / 0", "log(0)", "sqrt(-1)", "exp(1e9)", "(-8) ^ 0.5", "0 ^ -1", "1e308 * 10"])
def test_formulas_without_a_value(text: str) -> None:
    with pytest.raises(FormulaError):
        parsed_formula(text, names=())({})


def test_the_names_that_are_used() -> None:
    assert parsed_formula("name + max(email, name)", names=SCORES).names == {"name", "email"}


numbers = st.floats(-100, 100, allow_nan=False).map(lambda value: round(value, 3))
trees = st.recursive(
    numbers.map(lambda value: f"({value:f})"),
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner),
    max_leaves=12,
)


@given(trees)
def test_sums_and_products_are_pythons(text: str) -> None:
    assert parsed_formula(text, names=())({}) == pytest.approx(eval(text), rel=1e-9, abs=1e-9)  # noqa: S307 - our own


@given(st.text(alphabet="namei0123456789.+-*/^(), e", max_size=30))
def test_any_text_is_a_value_or_an_error(text: str) -> None:
    try:
        value = parsed_formula(text, names=("name",))({"name": 0.5})
    except (DefinitionError, FormulaError):
        return
    assert math.isfinite(value)
