"""Server-sent events: what a streamed answer is made of (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DONE = "[DONE]"
"""Data of the event that ends a stream of the chat completions API."""

LINE_END = re.compile(rb"\r\n|\n|\r")
DONE_LINE = re.compile(rb"(?:^|[\r\n])data: ?\[DONE\]")
TAIL_BYTES = 16
"""Enough of what came before to see a DONE_LINE that came in two pieces."""


def data_of(stream: bytes) -> Iterator[str]:
    """Yield the data of each event of a whole stream; an event whose closing empty line is missing counts too."""
    lines = list[str]()
    for raw in (*LINE_END.split(stream.removeprefix(b"\xef\xbb\xbf")), b""):
        if not raw:
            if lines:
                yield "\n".join(lines)
            lines = []
        elif raw.startswith(b"data:"):
            lines.append(raw[5:].removeprefix(b" ").decode("utf-8", "replace"))


class EndOfStream:
    """Sees the event that ends a stream in the piece that completes it, without reading the others' JSON."""

    def __init__(self) -> None:
        self._tail = b"\n"

    def is_in(self, piece: bytes) -> bool:
        """Say whether this piece completes the last event. JSON has no bare line ends, so no text looks like it."""
        seen = self._tail + piece
        self._tail = seen[-TAIL_BYTES:]
        return DONE_LINE.search(seen) is not None
