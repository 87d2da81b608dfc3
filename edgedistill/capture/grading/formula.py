"""The formula of a `multi` grader: + - * / ^, brackets, and eight functions of numbers. Nothing else can be written.

Source: the OpenAI graders guide, "Combined graders". As in mathematics, ^ binds most tightly and to the right
(2^3^2 = 512, -2^2 = -4).
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from edgedistill.capture.grading.definitions import DefinitionError
from edgedistill.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Value = Callable[[Mapping[str, float]], float]

FUNCTIONS: Final[Mapping[str, Callable[..., float]]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "log": math.log,
}
_VARIADIC = ("min", "max")
_OPERATORS: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": math.pow,
}
_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|([^\W\d]\w*)|([-+*/^(),]))")
MAX_LENGTH = 4096
MAX_DEPTH = 50


class FormulaError(Exception):
    """A formula has no value for these scores: a division by zero, the root of a negative number."""


@dataclass(frozen=True)
class Formula:
    """A formula that was read.

    Args:
        text: as it was written.
        names: the scores that it uses.
    """

    text: str
    names: frozenset[str]
    _value: Value

    def __call__(self, scores: Mapping[str, float]) -> float:
        """Return the value for some scores.

        Raises:
            FormulaError: it has none that is finite.
        """
        try:
            value = float(self._value(scores))
        except (ArithmeticError, ValueError) as error:
            raise FormulaError(f"{self.text}: {error}") from error
        if not math.isfinite(value):
            raise FormulaError(f"{self.text}: {value}")
        return value


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


def parsed_formula(text: str, *, names: Iterable[str]) -> Formula:
    """Return the formula in a text.

    Raises:
        DefinitionError: it is none, or uses a name that is neither a function nor among `names`.
    """
    if len(text) > MAX_LENGTH:
        raise _wrong(text[:40] + "…", f"{len(text)} characters", f"at most {MAX_LENGTH}")
    reader = _Reader(text, sorted(names))
    value = reader.sum(0)
    reader.expect("end")
    return Formula(text, frozenset(reader.used), value)


class _Reader:
    """Recursive descent: sum, product, sign, power, atom."""

    def __init__(self, text: str, names: Sequence[str]) -> None:
        self._text, self._names = text, names
        self._tokens = list(_tokens(text))
        self._at = 0
        self.used: set[str] = set()

    def sum(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise _wrong(self._text, "brackets nested too deep", f"at most {MAX_DEPTH}")
        value = self._product(depth)
        while (sign := self._taken("+", "-")) is not None:
            value = _combined(_OPERATORS[sign], value, self._product(depth))
        return value

    def _product(self, depth: int) -> Value:
        value = self._signed(depth)
        while (sign := self._taken("*", "/")) is not None:
            value = _combined(_OPERATORS[sign], value, self._signed(depth))
        return value

    def _signed(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise _wrong(self._text, "signs nested too deep", f"at most {MAX_DEPTH}")
        sign = self._taken("+", "-")
        if sign is None:
            return self._power(depth)
        value = self._signed(depth + 1)
        return value if sign == "+" else lambda scores: -value(scores)

    def _power(self, depth: int) -> Value:
        base = self._atom(depth)
        if self._taken("^") is None:
            return base
        return _combined(_OPERATORS["^"], base, self._signed(depth + 1))

    def _atom(self, depth: int) -> Value:
        token = self._next()
        if token.kind == "number":
            number = float(token.text)
            return lambda _: number
        if token.kind == "name":
            return self._function(token, depth) if self._taken("(") else self._score(token)
        if token.text == "(":
            value = self.sum(depth + 1)
            self.expect(")")
            return value
        raise self._unexpected(token, "a number, a grader's name, a function or a bracket")

    def _score(self, token: _Token) -> Value:
        name = token.text
        if name not in self._names:
            raise _wrong(self._text, f"no grader is called {name!r}", nearest(name, self._names))
        self.used.add(name)
        return lambda scores: scores[name]

    def _function(self, token: _Token, depth: int) -> Value:
        function = FUNCTIONS.get(token.text)
        if function is None:
            raise _wrong(self._text, f"no function is called {token.text!r}", nearest(token.text, FUNCTIONS))
        values = [self.sum(depth + 1)]
        while self._taken(","):
            values.append(self.sum(depth + 1))
        self.expect(")")
        if len(values) > 1 and token.text not in _VARIADIC:
            raise _wrong(self._text, f"{token.text} of {len(values)} numbers", "one")
        if len(values) == 1 and token.text in _VARIADIC:
            return values[0]
        return lambda scores: function(*(value(scores) for value in values))

    def expect(self, text: str) -> None:
        token = self._next()
        if text not in (token.text, token.kind):
            raise self._unexpected(token, {"end": "the end"}.get(text, f"'{text}'"))

    def _taken(self, *texts: str) -> str | None:
        token = self._tokens[self._at]
        if token.kind == "sign" and token.text in texts:
            self._at += 1
            return token.text
        return None

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _unexpected(self, token: _Token, wanted: str) -> DefinitionError:
        found = "the end" if token.kind == "end" else f"'{token.text}' at character {token.place + 1}"
        return _wrong(self._text, found, wanted)


def _tokens(text: str) -> Iterable[_Token]:
    end = 0
    while text[end:].strip():
        match = _TOKEN.match(text, end)
        if match is None:
            place = end + len(text[end:]) - len(text[end:].lstrip())
            raise _wrong(text, f"'{text[place]}' at character {place + 1}", "+ - * / ^ ( ) , names and numbers")
        number, name, sign = match.groups()
        kind, found = ("number", number) if number else ("name", name) if name else ("sign", sign)
        yield _Token(kind, found, match.start(match.lastindex or 0))
        end = match.end()
    yield _Token("end", "", len(text))


def _combined(operation: Callable[[float, float], float], left: Value, right: Value) -> Value:
    return lambda scores: operation(left(scores), right(scores))


def _wrong(text: str, found: str, wanted: str) -> DefinitionError:
    return DefinitionError(f"formula '{text}'", found=found, wanted=wanted)
