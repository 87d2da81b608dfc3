"""The transfer set of texts: tokenized once, and varied by leaving words out."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.checks import refuse_large
from edgedistill.data.transfer_set import Batch, checked_indices, require_view
from edgedistill.data.view_kinds import refuse_other_views
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedistill.data.preprocessing import Preprocessing
    from edgedistill.data.tokenizers import Tokenizer
    from edgedistill.data.transfer_set import Samples
    from edgedistill.recipe import Views

VIEWS_KEPT = 8
"""Views whose token numbers are kept in memory; others are tokenized again, with the same result."""


class TokenizedTexts:
    """Texts as token numbers, and their views. Implements `TransferSet`.

    A view leaves each word out with the same probability, but never all of a text. Words are what white space
    separates, so that tokenizers of a teacher and of a student are shown the same text. Where nothing is left out, all
    views are the same, and there is only one.

    Args:
        samples: texts.
        tokenizer: of the model that is to see them.
        views: how a text is varied.
        seed: of all random choices, 0 or greater.
        workers: threads that may make its batches.

    Raises:
        DataError: a view is asked for that texts do not have.
    """

    def __init__(self, samples: Samples, tokenizer: Tokenizer, views: Views, seed: int, *, workers: int = 1) -> None:
        refuse_other_views("text", views)
        self.samples, self.workers = samples, workers
        self.tokenizer = tokenizer
        self.preprocessing: Preprocessing = tokenizer.preprocessing
        self._limits = tokenizer.preprocessing
        self.views, self._seed = views, seed
        limit = self._limits.max_length
        refuse_large(len(samples) * limit * 4 * min(views.count, VIEWS_KEPT), thing="token numbers")
        self._ids = functools.lru_cache(VIEWS_KEPT)(self._view_ids)

    @property
    def fingerprint(self) -> str:
        """Sha256 of texts, tokenizer, limits, view settings and seed."""
        digest = hashlib.sha256()
        for part in (
            "text-views/1",
            self.samples.fingerprint,
            self.tokenizer.fingerprint,
            str(self._limits.max_length),
            str(self._limits.max_characters),
            f"{self.view_count} {self.views.drop_words} {self._seed}" if self.view_count > 1 else "plain",
        ):
            digest.update(part.encode() + b"\n")
        return digest.hexdigest()

    @property
    def view_count(self) -> int:
        """Views of each text: 1 where they would all be the same."""
        return self.views.count if self.views.drop_words else 1

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, indices: Sequence[int] | NDArray[np.int64], *, view: int) -> Batch:
        """Return view `view` (0 to view_count - 1) of some texts; the same every time.

        Raises:
            DataError: there is no such view or no such text.
        """
        require_view(view, count=self.view_count)
        return self._batch(indices, view if self.view_count > 1 else None)

    def plain(self, indices: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return texts as they are, as in evaluation.

        Raises:
            DataError: there is no such text.
        """
        return self._batch(indices, None)

    def _batch(self, indices: Sequence[int] | NDArray[np.int64], view: int | None) -> Batch:
        chosen = checked_indices(indices, count=len(self))
        labels = self.samples.labels[chosen]
        none = np.zeros(len(chosen), np.float32)
        return Batch(inputs=self._ids(view)[chosen], labels=labels, mixed_labels=labels, mix=none)

    def _view_ids(self, view: int | None) -> NDArray[np.int32]:
        texts = self.samples.raw.tolist()
        if view is not None:
            generator = np.random.default_rng([self._seed, view])
            texts = [shortened(text, generator, drop=self.views.drop_words) for text in texts]
        ids = self.tokenizer.ids(texts)
        ids.flags.writeable = False
        return ids


def shortened(text: str, generator: np.random.Generator, *, drop: float) -> str:
    """Return a text without some of its words, each left out with probability `drop`; at least one stays."""
    words = text.split()
    kept = generator.random(len(words)) >= drop
    if len(words) and not kept.any():
        kept[generator.integers(len(words))] = True
    return " ".join(word for word, stays in zip(words, kept, strict=True) if stays)


class RecordedAnswers:
    """What a teacher answered when the samples were recorded, in place of its inputs. Implements `TransferSet`.

    Its "inputs" are the answers' log probabilities (n, classes), so that the identity is the teacher's model. Every
    view of a sample has the answer to the whole sample.

    Args:
        samples: with answers.
        seen: the transfer set of the student, whose views these are.

    Raises:
        DataError: the samples hold no answers.
    """

    def __init__(self, samples: Samples, seen: TokenizedTexts) -> None:
        if samples.answers is None:
            raise DataError(
                "teacher 'recorded'",
                found="the data hold no answer of a teacher to every sample",
                fix="use a `capture:` source, give each row a 'teacher', or name another teacher",
            )
        self.samples = samples
        self.preprocessing = seen.preprocessing
        self._seen, self._answers = seen, samples.answers

    @property
    def fingerprint(self) -> str:
        """Sha256 of samples, views and answers."""
        digest = hashlib.sha256(self._seen.fingerprint.encode())
        digest.update(self._answers.tobytes())
        return digest.hexdigest()

    @property
    def view_count(self) -> int:
        """Views of each sample."""
        return self._seen.view_count

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, indices: Sequence[int] | NDArray[np.int64], *, view: int) -> Batch:
        """Return the answers to some samples; the same in every view."""
        shown = self._seen.batch(indices, view=view)
        return Batch(self._answers[np.asarray(indices, np.int64)], shown.labels, shown.mixed_labels, shown.mix)

    def plain(self, indices: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return the answers to some samples."""
        return self.batch(indices, view=0)
