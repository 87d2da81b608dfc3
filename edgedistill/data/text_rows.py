"""Texts with labels, with a teacher's recorded answers, or with neither: from rows to checked samples."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.checks import refuse_large
from edgedistill.data.transfer_set import UNKNOWN, Samples
from edgedistill.errors import DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgedistill.data.checks import Split

TEST_SHARE = 0.2
CERTAINTY = 0.99
"""Probability that an answer without log probabilities is taken to stand for."""
LEAST_REST = 1e-4
"""Least probability that all classes together have that an answer's log probabilities leave out."""
BYTES_PER_CHARACTER = 4  # of a numpy array of text


@dataclass(frozen=True)
class TextRow:
    """One text, and what is known of it.

    Args:
        text: what the model is shown.
        label: name of its true class, where a person has said it.
        answer: what a recorded teacher answered: log probability by class name; one entry of 0.0 where only the
            class is known.
        split: where the source says it.
        embedding: what a recorded teacher of embeddings answered: (width,), float32.
    """

    text: str
    label: str | None = None
    answer: Mapping[str, float] | None = None
    split: Split | None = None
    embedding: NDArray[np.float32] | None = None


def samples_from_rows(
    rows: Sequence[TextRow],
    split: Split,
    *,
    source: str,
    fingerprint: str,
    classes: tuple[str, ...] = (),
    max_characters: int,
    labelled: bool,
) -> Samples:
    """Return the checked samples of one split.

    A row without a split belongs to the test set by the hash of its text, a fifth of all: equal texts are never on
    both sides. Training labels are people's where there are any, else the recorded teacher's answer. The test set has
    people's labels alone, UNKNOWN elsewhere; if it has none, the teacher's answers stand in, and the samples say so.

    Args:
        rows: of both splits.
        split: "train" or "test".
        source: as the recipe has it, for errors.
        fingerprint: sha256 of what the rows were read from.
        classes: the recipe's class names; empty takes the names that occur, sorted.
        max_characters: what is behind them is not kept.
        labelled: whether the task needs classes.

    Raises:
        DataError: no rows, too few classes, a class that the recipe does not name or without training sample.
        ResourceError: the texts do not fit into memory.
    """
    thing = f"'{source}' ({split})"
    chosen = [row for row in rows if (row.split or split_of(row.text)) == split]
    if not chosen:
        raise DataError(thing, found="no texts", wanted="at least one")
    names = classes or _occurring(rows)
    if labelled:
        _check_classes(names, thing=thing)
        _check_named(rows, names, thing=thing)
    texts = [row.text[:max_characters] for row in chosen]
    refuse_large(len(texts) * max(map(len, texts)) * BYTES_PER_CHARACTER, thing=thing)
    answers = _answers(chosen, names) if labelled else _embeddings(chosen, thing=thing)
    labels, gold = _labels(chosen, names, answers, split=split) if labelled else (_unknown(len(chosen)), True)
    if labelled and split == "train":
        _refuse_empty(labels, names, thing=thing)
    text = "|".join((fingerprint, split, repr(names), str(max_characters), str(labelled)))
    return Samples(
        raw=np.array(texts, np.str_),
        labels=labels,
        classes=names if labelled else (),
        fingerprint=hashlib.sha256(text.encode()).hexdigest(),
        answers=answers,
        gold=gold,
    )


def split_of(text: str) -> Split:
    """Return the split of a text by the hash of its words: equal but for case and spaces, equal split."""
    words = " ".join(text.casefold().split())
    rank = int.from_bytes(hashlib.sha256(words.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    return "test" if rank < TEST_SHARE * 2**64 else "train"


def answer_logits(answer: Mapping[str, float], classes: Sequence[str]) -> NDArray[np.float32]:
    """Return a recorded answer as log probabilities (classes,), float32, that sum to 1 as probabilities.

    What the answer leaves out shares equally in the probability that it leaves over, but not less than LEAST_REST. An
    answer of one class alone stands for a probability of CERTAINTY.

    Args:
        answer: log probability, at most 0, by class name; every name is one of the classes.
        classes: names in label order.
    """
    if len(answer) == 1 and next(iter(answer.values())) == 0:
        found = dict.fromkeys(answer, CERTAINTY)
    else:
        found = {name: math.exp(value) for name, value in answer.items()}
    missing = len(classes) - len(found)
    rest = max(1 - sum(found.values()), LEAST_REST) / missing if missing else 0.0
    probabilities = np.array([max(found.get(name, rest), 1e-9) for name in classes], np.float64)
    logits: NDArray[np.float32] = np.log(probabilities / probabilities.sum()).astype(np.float32)
    return logits


def _answers(rows: Sequence[TextRow], classes: tuple[str, ...]) -> NDArray[np.float32] | None:
    """Return what the recorded teacher answered (n, classes), or None where it did not answer every row."""
    if not all(row.answer for row in rows):
        return None
    return np.stack([answer_logits(row.answer, classes) for row in rows if row.answer])


def _embeddings(rows: Sequence[TextRow], *, thing: str) -> NDArray[np.float32] | None:
    """Return the recorded embeddings (n, width), or None where not every row has one."""
    found = [row.embedding for row in rows if row.embedding is not None]
    if len(found) < len(rows):
        return None
    widths = sorted({embedding.shape for embedding in found})
    if len(widths) > 1 or len(widths[0]) != 1:
        raise DataError(thing, found=f"embeddings of shapes {widths}", wanted="one width")
    return np.stack(found)


def _labels(
    rows: Sequence[TextRow], classes: tuple[str, ...], answers: NDArray[np.float32] | None, *, split: Split
) -> tuple[NDArray[np.int64], bool]:
    """Return labels (n,), and whether they are people's."""
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([UNKNOWN if row.label is None else numbers[row.label] for row in rows], np.int64)
    gold = bool((labels != UNKNOWN).any())
    if answers is not None and (split == "train" or not gold):
        labels = np.where(labels == UNKNOWN, answers.argmax(1), labels)
    return labels, gold


def _unknown(count: int) -> NDArray[np.int64]:
    return np.full(count, UNKNOWN, np.int64)


def _occurring(rows: Sequence[TextRow]) -> tuple[str, ...]:
    names = {row.label for row in rows if row.label is not None}
    names |= {name for row in rows for name in row.answer or ()}
    return tuple(sorted(names))


def _check_classes(names: tuple[str, ...], *, thing: str) -> None:
    if len(names) < 2:  # noqa: PLR2004 - one class is nothing to tell apart
        found = f"classes: {', '.join(names) or 'none'}"
        raise DataError(thing, found=found, wanted="at least 2 classes", fix="`task: embedding` needs none")
    if len(set(names)) < len(names) or not all(names):
        raise DataError(thing, found=f"classes: {', '.join(names)}", wanted="each name once, and none empty")


def _check_named(rows: Sequence[TextRow], classes: tuple[str, ...], *, thing: str) -> None:
    known = set(classes)
    for number, row in enumerate(rows):
        for name in (*([row.label] if row.label is not None else []), *(row.answer or ())):
            if name not in known:
                raise DataError(f"{thing}, row {number}", found=f"class {name!r}", fix=nearest(name, classes))


def _refuse_empty(labels: NDArray[np.int64], classes: tuple[str, ...], *, thing: str) -> None:
    known = labels[labels != UNKNOWN]
    counts = np.bincount(known, minlength=len(classes))
    missing = [name for name, count in zip(classes, counts, strict=True) if not count]
    if missing:
        found = f"no training sample of {len(missing)} classes: {', '.join(missing[:5])}"
        raise DataError(thing, found=found, wanted="at least one of each")
