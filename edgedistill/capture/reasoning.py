"""Taking a model's reasoning out of its answer.

Reasoning models put it before the answer: in `<think>` and the like, in Harmony's channels, or behind an opening tag
that their chat template has already written, so that only the closing one is seen.
"""

from __future__ import annotations

import re
from typing import Final

_TAGS: Final = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad")
_TAG: Final = re.compile(rf"<(/?)({'|'.join(_TAGS)})>|\[(/?)(THINK)\]", re.IGNORECASE)
_FINAL_CHANNEL = re.compile(r"<\|channel\|>\s*final\b[^<]*<\|message\|>(.*)", re.DOTALL)
_HARMONY = re.compile(r"<\|(?:start|channel)\|>")
_END_MARKS = re.compile(r"\s*<\|(?:return|end|im_end|eot_id)\|>\s*$")


def without_reasoning(text: str) -> str:
    """Return an answer without the reasoning before it; empty where it is reasoning alone.

    A text that begins with no reasoning stays as it is, to the last space. Tags further on (in code, in a quotation)
    are left alone, but for a closing tag that nothing opens: what stands before it is reasoning.
    """
    if _HARMONY.match(text.lstrip()):
        final = _FINAL_CHANNEL.search(text)
        return _END_MARKS.sub("", final.group(1)).strip() if final else ""
    rest = text
    while True:
        opened = _TAG.match(rest.lstrip())
        if opened is not None and not _closes(opened):
            rest = _behind_block(rest.lstrip(), _name(opened))
        elif (orphan := _orphan_close(rest)) is not None:
            rest = rest[orphan:].lstrip()
        else:
            return rest


def _behind_block(text: str, name: str) -> str:
    """Return what follows the block at the beginning, blocks of the same name inside it counted."""
    marks = [mark for mark in _TAG.finditer(text) if _name(mark) == name]
    depth = 0
    for mark in marks:
        depth += -1 if _closes(mark) else 1
        if depth == 0:
            return text[mark.end() :].lstrip()
    # reasoning may speak of its own tag without closing it again: then the last closing tag ends it
    ends = [mark.end() for mark in marks if _closes(mark)]
    return text[ends[-1] :].lstrip() if ends else ""


def _orphan_close(text: str) -> int | None:
    """Return the end of the first closing tag that nothing opens, outside of code fences; None if there is none."""
    opened: set[str] = set()
    for mark in _TAG.finditer(text):
        if not _closes(mark):
            opened.add(_name(mark))
        elif _name(mark) not in opened and text.count("```", 0, mark.start()) % 2 == 0:
            return mark.end()
    return None


def _closes(tag: re.Match[str]) -> bool:
    return bool(tag.group(1) or tag.group(3))


def _name(tag: re.Match[str]) -> str:
    return (tag.group(2) or tag.group(4)).lower()
