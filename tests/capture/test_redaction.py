"""What is taken out before anything is written."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.capture.redaction import PATTERNS, Redaction, credentials_of, redaction_of
from edgedistill.errors import InputError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("keys", "sk-proj-abcdefghijklmnop1234"),
        ("keys", "sk-abcdefghijklmnop1234"),
        ("keys", "hf_abcdefghijklmnopqrst"),
        ("keys", "ghp_abcdefghijklmnopqrstuvwx"),
        ("keys", "AKIAABCDEFGHIJKLMNOP"),
        ("keys", "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeKKF2QT4"),
        ("keys", "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nAAAA\n-----END RSA PRIVATE KEY-----"),
        ("email", "jane.doe+x@mail.example.co.uk"),
        ("phone", "+41 44 668 18 00"),
        ("phone", "(044) 668 18 00"),
        ("phone", "555-123-4567"),
        ("card", "4111 1111 1111 1111"),
        ("card", "4111111111111111"),
        ("iban", "DE89 3704 0044 0532 0130 00"),
        ("iban", "CH9300762011623852957"),
        ("ip", "192.168.1.254"),
    ],
)
def test_the_usual_spellings_are_found(name: str, text: str) -> None:
    redaction = redaction_of([name])
    assert redaction.text(f"before {text} after") == f"before [redacted:{name}] after"


@pytest.mark.parametrize(
    "text",
    [
        "It costs 1234 today",
        "on 2026-11-24 at 08:00",
        "version 1.2.3",
        "task-force",
        "a@b",
        "3.14159265",
        "99999.1.1.1",
    ],
)
def test_what_is_none_of_them_stays(text: str) -> None:
    assert redaction_of(PATTERNS).text(text) == text


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_takes_long(name: str) -> None:
    # each would take minutes if it went back and forth: 100,000 characters of what almost matches
    redaction = redaction_of([name])
    for text in (
        "a" * 100_000,
        "1 " * 50_000,
        "a." * 50_000,
        "-----BEGIN " * 9_000,
        "a@" + "a." * 50_000,
        "1-" * 50_000,
    ):
        redaction.text(text)


def test_everything_in_a_value_is_seen() -> None:
    value = {"a@b.de": ["a@b.de", {"x": ("a@b.de",)[0]}], "n": 1, "t": True, "z": None}
    assert redaction_of(["email"]).value(value) == {
        "[redacted:email]": ["[redacted:email]", {"x": "[redacted:email]"}],
        "n": 1,
        "t": True,
        "z": None,
    }


def test_log_probabilities_go_with_a_message_that_changed() -> None:
    tokens = {"content": [{"token": "a"}]}
    answer: dict[str, Any] = {
        "id": "x",
        "choices": [
            {"message": {"content": "a@b.de"}, "logprobs": tokens},
            {"message": {"content": "fine"}, "logprobs": tokens},
            {"message": {"content": "a@b.de"}},
        ],
    }
    assert redaction_of(["email"]).chat(answer)["choices"] == [
        {"message": {"content": "[redacted:email]"}, "logprobs": None},
        {"message": {"content": "fine"}, "logprobs": tokens},
        {"message": {"content": "[redacted:email]"}},
    ]


def test_patterns_of_one_s_own() -> None:
    redaction = redaction_of(["name=Jane|Joe", "email"])
    assert redaction.text("Jane and Joe: a@b.de") == "[redacted:name] and [redacted:name]: [redacted:email]"


def test_a_function_sees_what_the_patterns_left() -> None:
    redaction = redaction_of(["email"], function=str.upper, function_version="1")
    assert redaction.text("a@b.de, joe") == "[REDACTED:EMAIL], JOE"


@pytest.mark.parametrize(("name", "message"), [("emial", "did you mean 'email'?"), ("a=(", "no regular expression")])
def test_what_is_no_pattern(name: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        redaction_of([name])


def test_a_function_that_returns_no_text() -> None:
    with pytest.raises(InputError, match="it returned NoneType"):
        redaction_of([], function=lambda _: None).text("a")  # type: ignore[arg-type,return-value]


def test_versions_tell_one_from_another() -> None:
    versions = [
        redaction_of(["email"]).version,
        redaction_of(["email", "ip"]).version,
        redaction_of(["email=a"]).version,
        redaction_of(["email"], function=str.upper, function_version="1").version,
        redaction_of(["email"], function=str.upper, function_version="2").version,
        Redaction().version,
    ]
    assert len(set(versions)) == 6
    assert versions[-1] == "none"
    assert redaction_of(["ip", "email"]).version == redaction_of(["email", "ip"]).version


# --- credentials


def test_credentials_of_headers() -> None:
    found = credentials_of(["Bearer sk-12345678", "a=1; session=abc12345; x", "", "Basic dXNlcjpwYXNz"])
    assert {"sk-12345678", "abc12345", "dXNlcjpwYXNz"} <= set(found)
    assert list(found) == sorted(found, key=len, reverse=True)


def test_plain_words_are_no_credentials() -> None:
    assert credentials_of(["Bearer anything", "Bearer EMPTY", "Placeholder", "ollama", "1234567"]) == ()
    assert "abcdefghijklmnopq" in credentials_of(["Bearer abcdefghijklmnopq"])


KEYS = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=20, max_size=40)


@given(KEYS, st.text(max_size=20), st.text(max_size=20))
def test_a_credential_is_nowhere_in_what_is_kept(key: str, before: str, after: str) -> None:
    value = {before + key: [key, {"a": f"{before}{key}{after}{key}"}]}
    kept = Redaction().value(value, credentials_of([f"Bearer {key}"]))
    assert key not in str(kept)
