"""What is taken out of requests and answers before they are written; it can never be found in the store afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from edgedistill.capture.json_text import Json, list_at, text_of
from edgedistill.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SHORTEST_CREDENTIAL = 8
LONGEST_WORD = 16
"""Characters. Taking every "a" or every "anything" out of a text would destroy it."""

PATTERNS: Mapping[str, str] = {
    # shapes that providers publish: sk-..., hf_..., ghp_..., AKIA..., AIza..., xox?-...; tokens of three parts; PEM
    "keys": r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|\bhf_[A-Za-z0-9]{16,}|\bgh[opsur]_[A-Za-z0-9]{20,}"
    r"|\bgithub_pat_[A-Za-z0-9_]{20,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_-]{35}|\bxox[abeprs]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{1,20000}-----END [A-Z ]{0,30}PRIVATE KEY-----",
    "email": r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b",
    # +41 44 668 18 00, (044) 668 18 00, 044 668 18 00, 555-123-4567
    "phone": r"(?<![\w.+-])(?:\+\d{1,3}(?:[ ./-]?\(?\d{1,4}\)?){2,6}|\(\d{2,5}\)[ ./-]?\d{2,4}(?:[ ./-]?\d{2,4}){1,3}"
    r"|0\d{1,4}(?:[ /-]\d{2,4}){2,4}|\d{3}[ .-]\d{3}[ .-]\d{4})(?![\w-])",
    "card": r"(?<![\d-])(?:\d[ -]?){12,18}\d(?![\d-])",
    "iban": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "ip": r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b",
}
"""Built-in patterns. They find the usual spellings, not every one: a callable can do more."""

ALWAYS = ("keys",)
"""Patterns that are used unless one says otherwise."""


@dataclass(frozen=True)
class Redaction:
    """Takes texts out of JSON values.

    Args:
        patterns: regular expressions by name; what one finds becomes "[redacted:NAME]".
        function: is given every text after the patterns, and returns what may be kept.
        function_version: tells one function from another: the sha256 of its source, say.
    """

    patterns: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    function: Callable[[str], str] | None = None
    function_version: str = ""

    @property
    def version(self) -> str:
        """What is kept with every completion: "none", or 12 digits of a hash of the patterns and the function."""
        if not self.patterns and self.function is None:
            return "none"
        used = [sorted((name, pattern.pattern) for name, pattern in self.patterns.items()), self.function_version]
        return sha256(text_of(used).encode()).hexdigest()[:12]

    def text(self, text: str, credentials: Iterable[str] = ()) -> str:
        """Return what may be kept of a text.

        Raises:
            InputError: the function returns something other than a text.
        """
        for credential in credentials:
            text = text.replace(credential, "[redacted:credential]")
        for name, pattern in self.patterns.items():
            text = pattern.sub(f"[redacted:{name}]", text)
        if self.function is None:
            return text
        kept = self.function(text)
        if not isinstance(kept, str):
            raise InputError("redaction function", found=f"it returned {type(kept).__name__}", wanted="a text")
        return kept

    def value(self, value: object, credentials: Iterable[str] = ()) -> object:
        """Return what may be kept of a JSON value: every text in it, keys too, at any depth."""
        if isinstance(value, str):
            return self.text(value, credentials)
        if isinstance(value, list):
            return [self.value(inner, credentials) for inner in value]
        if isinstance(value, dict):
            return {self.text(key, credentials): self.value(inner, credentials) for key, inner in value.items()}
        return value

    def chat(self, response: Json, credentials: Iterable[str] = ()) -> Json:
        """Return what may be kept of a chat's answer.

        The log probabilities of a choice spell its text token by token, where no pattern finds anything: they are
        left out of a choice whose message was changed.
        """
        kept = self.value({key: value for key, value in response.items() if key != "choices"}, credentials)
        choices = [self._choice(choice, credentials) for choice in list_at(response, "choices")]
        return {**kept, "choices": choices} if isinstance(kept, dict) else {}

    def _choice(self, choice: object, credentials: Iterable[str]) -> object:
        if not isinstance(choice, dict):
            return self.value(choice, credentials)
        said = {key: value for key, value in choice.items() if key != "logprobs"}
        kept = self.value(said, credentials)
        if not isinstance(kept, dict) or "logprobs" not in choice:
            return kept
        changed = kept.get("message") != said.get("message")
        return {**kept, "logprobs": None if changed else self.value(choice["logprobs"], credentials)}


def redaction_of(
    names: Iterable[str] = ALWAYS,
    *,
    function: Callable[[str], str] | None = None,
    function_version: str = "",
) -> Redaction:
    """Return a redaction by names of built-in patterns, "email", and patterns of one's own, "NAME=REGEX".

    Raises:
        InputError: no pattern has this name, or a regular expression cannot be compiled.
    """
    patterns = {}
    for given in names:
        name, equals, expression = given.partition("=")
        if not equals and name not in PATTERNS:
            raise InputError(f"redaction '{given}'", found="no such pattern", fix=nearest(name, PATTERNS))
        try:
            patterns[name] = re.compile(expression if equals else PATTERNS[name])
        except re.error as error:
            raise InputError(f"redaction '{given}'", found=f"no regular expression: {error}") from error
    return Redaction(patterns, function, function_version)


def credentials_of(values: Iterable[str]) -> tuple[str, ...]:
    """Return what must not be kept of header values that carry keys: "Bearer sk-1234abcd" gives "sk-1234abcd".

    Left out is what is no secret: what is shorter than SHORTEST_CREDENTIAL, and plain words up to LONGEST_WORD
    ("anything", which people give as a key where none is needed). The longest come first, so that none is hidden by
    a part of it.
    """
    parts = {part for value in values for part in (value, *re.split(r"[\s;,]+", value))}
    parts |= {part.partition("=")[2] for part in parts}  # a cookie's value
    return tuple(sorted((part for part in parts if _is_secret(part)), key=len, reverse=True))


def _is_secret(part: str) -> bool:
    if len(part) > LONGEST_WORD:
        return True
    is_word = part.isalpha() and (part.islower() or part.isupper() or part.istitle())
    return len(part) >= SHORTEST_CREDENTIAL and not is_word and " " not in part
