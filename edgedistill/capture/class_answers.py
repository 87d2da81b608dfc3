"""A teacher's answers as classes: which class an answer names, and how likely it held the others."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING

from edgedistill.capture.reasoning import without_reasoning
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedistill.capture.completion import Completion

MAX_CLASSES = 256
"""Most classes that are taken from answers alone; more must be named in the recipe."""
MAX_WORDS = 8
"""Words of the longest answer that is taken for the name of a class."""
LEAST_PER_CLASS = 3
"""Completions that a class must have on average, where classes are taken from the answers alone."""
MOST_UNUSABLE = 0.2
"""Largest share of answers that may name none of the recipe's classes."""


def plain_name(answer: str) -> str:
    """Return what two answers share that name one class: case, spaces, quotes and the last full stop apart.

    Reasoning before the answer is left out. An answer in JSON with one value, as `{"label": "spam"}`, is its value.
    """
    text = without_reasoning(answer).strip()
    if text.startswith("{"):
        text = _only_value(text) or text
    return " ".join(text.casefold().split()).strip("\"'`*").rstrip(".!").strip()


def classes_of(answers: Sequence[str], *, thing: str) -> tuple[str, ...]:
    """Return the classes that answers name, sorted, each as it is most often written.

    Args:
        answers: a teacher's, as it gave them.
        thing: where they are from, for errors.

    Raises:
        DataError: they are no names of classes, but texts: nothing that a classifier could say.
    """
    spellings: dict[str, Counter[str]] = {}
    for answer in answers:
        spellings.setdefault(plain_name(answer), Counter())[without_reasoning(answer).strip().strip("\"'`*.!")] += 1
    longest = max(spellings, key=lambda name: len(name.split()), default="")
    words = len(longest.split())
    if words > MAX_WORDS or len(spellings) > min(MAX_CLASSES, max(len(answers) // LEAST_PER_CLASS, 1)):
        raise DataError(
            thing,
            found=f"{len(spellings):,} different answers in {len(answers):,} completions, the longest of {words:,} "
            "words; the teacher writes texts, and a compact classifier cannot",
            wanted="answers that name one of a few classes",
            fix="choose completions of one task with 'data.captured', name its classes in 'data.classes', or learn its "
            "embeddings with 'task: embedding'",
        )
    return tuple(sorted(_spelling(name, counts) for name, counts in spellings.items()))


def answered(completion: Completion, classes: Sequence[str]) -> Mapping[str, float] | None:
    """Return the log probability of each class that a completion tells of, or None where it names no class.

    With log probabilities of the answer's first token and its alternatives, each alternative counts for the one class
    whose name begins with it; where it begins several, only the class that was answered is known: 0.0. Reasoning before
    the answer, or JSON around it, leaves the answered class alone too.

    Args:
        completion: of a chat.
        classes: names in label order.
    """
    names = {plain_name(name): name for name in classes}
    answer = completion.answer or ""
    chosen = names.get(plain_name(answer))
    if chosen is None:
        return None
    tokens = completion.log_probabilities
    begins_plainly = tokens and plain_name(answer).startswith(_start(tokens[0].token)) and _start(tokens[0].token)
    if not begins_plainly:
        return {chosen: 0.0}
    alternatives = dict(tokens[0].alternatives)
    alternatives.setdefault(tokens[0].token, tokens[0].logprob)
    found: dict[str, float] = {}
    for token, logprob in alternatives.items():
        meant = [name for plain, name in names.items() if _start(token) and plain.startswith(_start(token))]
        if len(meant) > 1:
            return {chosen: 0.0}
        if meant and logprob > -math.inf:
            found[meant[0]] = min(_sum_of_logs(found.get(meant[0], -math.inf), logprob), 0.0)
    return found if chosen in found else {chosen: 0.0}


def refuse_strangers(unusable: int, total: int, classes: Sequence[str], *, thing: str) -> None:
    """Raise where too many answers name none of the classes.

    Raises:
        DataError: they do.
    """
    if unusable > MOST_UNUSABLE * total:
        raise DataError(
            thing,
            found=f"{unusable:,} of {total:,} answers name none of the classes {', '.join(classes[:8])}",
            wanted=f"at most {MOST_UNUSABLE:.0%}",
            fix="choose completions of one task with 'data.captured', or name its classes in 'data.classes'",
        )


def _spelling(name: str, counts: Counter[str]) -> str:
    """Return how a class is most often written; of JSON, its value."""
    written, _ = min(counts.items(), key=lambda item: (-item[1], item[0]))
    return written if plain_name(written) == name and not written.startswith("{") else name


def _only_value(text: str) -> str | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    values = list(document.values()) if isinstance(document, dict) else []
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None


def _start(token: str) -> str:
    return " ".join(token.casefold().split()).strip("\"'`*")


def _sum_of_logs(first: float, second: float) -> float:
    high, low = max(first, second), min(first, second)
    return high + math.log1p(math.exp(low - high)) if low > -math.inf else high
