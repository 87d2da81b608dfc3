"""The teacher's address, and what is passed on to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edgedistill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Of one connection, and not passed on (RFC 9110, section 7.6.1)."""

ENCODINGS = (b"gzip", b"deflate", b"identity")
"""Compressions that we can read; the caller's others are not offered to the teacher."""

LONGEST_ENCODINGS = 256


@dataclass(frozen=True)
class Upstream:
    """Where requests are passed on to.

    Args:
        address: "https://api.openai.com/v1"; what callers ask of /v1/PATH is asked of ADDRESS/PATH.
        key: sent instead of the callers' own keys; None passes theirs on.
    """

    address: str
    key: str | None = field(default=None, repr=False)

    def url(self, path: bytes, query: bytes) -> str:
        """Return the address of a path below /v1, with its query, as they were sent."""
        joined = f"{self.address.rstrip('/')}/{path.decode('ascii').lstrip('/')}"
        return f"{joined}?{query.decode('ascii')}" if query else joined


def checked_upstream(address: str, *, key: str | None = None) -> Upstream:
    """Return an upstream.

    Raises:
        InputError: the address is no http or https address, or holds a user name, a query or a fragment.
    """
    thing = "upstream address"
    try:
        parts = urlsplit(address)
        name, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(thing, found=str(error), wanted="as in https://api.openai.com/v1") from error
    if parts.scheme not in ("http", "https") or not name or not address.isascii() or not address.isprintable():
        raise InputError(thing, found=f"'{address}'", wanted="as in https://api.openai.com/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        # not quoted: it may hold a key
        raise InputError(thing, found="a user name, a query or a fragment", wanted="a plain address")
    return Upstream(address, key)


def passed_on(headers: Iterable[tuple[bytes, bytes]], *, key: str | None) -> Headers:
    """Return the headers that the teacher gets: the caller's, keys too, without those of the connection."""
    kept = _end_to_end(headers, leave_out={b"host", b"content-length", b"accept-encoding"})
    offered = b", ".join(value for name, value in headers if name.lower() == b"accept-encoding")[:LONGEST_ENCODINGS]
    encodings = [name for part in offered.split(b",") if (name := part.split(b";")[0].strip().lower()) in ENCODINGS]
    kept.append((b"accept-encoding", b", ".join(encodings) or b"identity"))
    if key is not None:
        kept = [(name, value) for name, value in kept if name.lower() != b"authorization"]
        kept.append((b"authorization", f"Bearer {key}".encode()))
    return kept


def passed_back(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the headers that the caller gets: the teacher's, without those of the connection."""
    return _end_to_end(headers, leave_out=set())


def secrets_of(headers: Iterable[tuple[bytes, bytes]], query: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the values of a request that may be keys: of headers that are named like one, and of the query."""
    words = (b"auth", b"key", b"token", b"secret", b"cookie", b"password", b"credential")
    named = [value for name, value in headers if any(word in name.lower() for word in words)]
    return [*(value.decode("latin-1") for value in named), *(value for values in query.values() for value in values)]


def _end_to_end(headers: Iterable[tuple[bytes, bytes]], *, leave_out: set[bytes]) -> Headers:
    headers = list(headers)
    # a connection may name further headers as its own
    named = b",".join(value for name, value in headers if name.lower() == b"connection")
    out = HOP_BY_HOP | leave_out | {name.strip().lower() for name in named.split(b",")}
    return [(name, value) for name, value in headers if name.lower() not in out]
