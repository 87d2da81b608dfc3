"""Addresses, headers, compressed bodies, records."""

from __future__ import annotations

import gzip
import zlib

import pytest

from edgedistill.capture.completion import Kind
from edgedistill.capture.policy import Ask, Policy
from edgedistill.capture.redaction import Redaction
from edgedistill.capture.server.content import MAX_BODY, decoded
from edgedistill.capture.server.records import Passed, entries_of
from edgedistill.capture.server.requests import wish_of
from edgedistill.capture.server.upstream import checked_upstream, passed_back, passed_on
from edgedistill.errors import InputError


@pytest.mark.parametrize(
    "address",
    [
        "",
        "api.openai.com/v1",
        "ftp://a/v1",
        "http://",
        "http:///v1",
        "http://a:99999/v1",
        "http://[a/v1",
        "http://a/v1?key=canary",
        "http://a/v1#x",
        "http://user:canary@a/v1",
        "http://ä/v1",
        "http://a/\n",
    ],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(InputError) as caught:
        checked_upstream(address)
    assert "canary" not in str(caught.value)


def test_addresses() -> None:
    upstream = checked_upstream("http://a:8000/base/v1/", key="canary")
    assert upstream.url(b"chat/completions", b"a=b%20c") == "http://a:8000/base/v1/chat/completions?a=b%20c"
    assert upstream.url(b"models", b"") == "http://a:8000/base/v1/models"
    assert "canary" not in repr(upstream)


def test_headers_of_the_connection_stay_with_it() -> None:
    headers = [(b"Connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"Transfer-Encoding", b"chunked"), (b"X-A", b"2")]
    assert passed_back(headers) == [(b"X-A", b"2")]
    assert passed_on([*headers, (b"Host", b"a"), (b"Content-Length", b"3")], key=None) == [
        (b"X-A", b"2"),
        (b"accept-encoding", b"identity"),
    ]


def test_a_key_replaces_the_caller_s() -> None:
    sent = passed_on([(b"Authorization", b"Bearer theirs")], key="ours")
    assert [value for name, value in sent if name.lower() == b"authorization"] == [b"Bearer ours"]


def test_compressed_bodies() -> None:
    raw = zlib.compressobj(wbits=-15)
    assert decoded(b"abc", "") == decoded(b"abc", "identity") == b"abc"
    assert decoded(gzip.compress(b"abc"), " GZIP ") == b"abc"
    assert decoded(zlib.compress(b"abc"), "deflate") == b"abc"
    assert decoded(raw.compress(b"abc") + raw.flush(), "deflate") == b"abc"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"abc", "br"),
        (b"abc", "gzip"),
        (gzip.compress(b"abc")[:-1], "gzip"),
        (gzip.compress(bytes(MAX_BODY + 1), 1), "gzip"),
    ],
)
def test_bodies_that_cannot_be_read(body: bytes, encoding: str) -> None:
    assert decoded(body, encoding) is None


# --- records


def passed(answer: bytes, *, kind: Kind = Kind.CHAT) -> Passed:
    return Passed(kind, {"model": "m", "store": True}, {"k": "v"}, answer, "", False, 1.0, "http://a/v1", ())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [1]}',
        b'{"choices": [{"message": null}]}',
        b'{"error": {"message": "no"}}',
    ],
)
def test_what_is_no_completion_is_not_stored(answer: bytes) -> None:
    assert entries_of(passed(answer), Redaction()) == []


@pytest.mark.parametrize(
    "data",
    [
        "[]",
        "1",
        "[1]",
        '[{"embedding": []}]',
        '[{"embedding": [true]}]',
        '[{"embedding": ["a"]}]',
        '[{"embedding": [1]}, {"embedding": [1, 2]}]',
        '[{"embedding": [1]}, {}]',
        '[{"embedding": "a"}]',
        '[{"embedding": "AAA="}]',
        '[{"embedding": "äää"}]',
    ],
)
def test_what_is_no_embedding_is_not_stored(data: str) -> None:
    assert entries_of(passed(f'{{"data": {data}}}'.encode(), kind=Kind.EMBEDDING), Redaction()) == []


def test_an_embedding_keeps_what_was_told_besides() -> None:
    answer = b'{"data": [{"embedding": [1, 2.5]}], "model": "e", "usage": {"total_tokens": 3}}'
    (entry,) = entries_of(passed(answer, kind=Kind.EMBEDDING), Redaction())
    assert entry.completion.request == {"model": "m"}
    assert entry.completion.response["usage"] == {"total_tokens": 3}
    assert "data" not in entry.completion.response
    assert entry.arrays["embedding"].tolist() == [[1.0, 2.5]]


def test_metadata_of_the_server_gives_way() -> None:
    own = {str(number): "own" for number in range(16)}
    body = b'{"store": true, "metadata": ' + str(own).replace("'", '"').encode() + b"}"
    wish = wish_of(
        b"chat/completions", body, policy=Policy(Ask.REQUESTED), forwards_store=False, defaults={"a": "b", "0": "x"}
    )
    assert wish.metadata == own
