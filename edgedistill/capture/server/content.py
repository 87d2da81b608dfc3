"""Bodies as they are on the wire: compressed, and possibly a bomb."""

from __future__ import annotations

import zlib

GZIP = zlib.MAX_WBITS | 16
MAX_BODY = 64 * 1024 * 1024
"""Bytes of a request or an answer that are read; an answer that is longer is passed on but not stored."""


def decoded(body: bytes, encoding: str) -> bytes | None:
    """Return a body without its compression; None if that is unknown, broken, or longer than MAX_BODY."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body if len(body) <= MAX_BODY else None
    if encoding == "gzip":
        return _inflated(body, GZIP)
    if encoding == "deflate":
        # meant is zlib's format (RFC 9110, section 8.4.1.2); some send the bare one
        return _inflated(body, zlib.MAX_WBITS) or _inflated(body, -zlib.MAX_WBITS)
    return None


def _inflated(body: bytes, window: int) -> bytes | None:
    engine = zlib.decompressobj(window)
    try:
        content = engine.decompress(body, MAX_BODY)
    except zlib.error:
        return None
    return None if engine.unconsumed_tail or not engine.eof else content
