"""The samples of a run as its teacher sees them: as the student does, through another tokenizer, or as answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.preprocessing import TextPreprocessing
from edgedistill.data.text_views import RecordedAnswers, TokenizedTexts
from edgedistill.data.tokenizers import tokenizer_of
from edgedistill.data.tokens import WordPiece
from edgedistill.errors import DataError, ModelError
from edgedistill.models import origins
from edgedistill.models.hugging_face import TOKENIZER
from edgedistill.models.loading import TextInputs

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import Samples, TransferSet
    from edgedistill.recipe import Recipe

MAX_LENGTH = "max_length"
"""The one option of a `huggingface:` source."""


def seen_by_teacher(recipe: Recipe, recipe_folder: Path, samples: Samples, student_set: TransferSet) -> TransferSet:
    """Return samples, in the views of the student's transfer set, as the teacher sees them.

    Args:
        recipe: whose teacher it is.
        recipe_folder: relative paths are looked for here.
        samples: those of the student's transfer set.
        student_set: the samples as the student sees them.

    Raises:
        DataError: recorded answers are asked for of samples that hold none.
        ModelError: a `huggingface:` teacher is to see something else than texts, or has other options.
    """
    teacher = recipe.teacher
    folder = origins.folder(teacher, recipe_folder)
    if folder is None and teacher.source != origins.RECORDED:
        return student_set
    limits = recipe.data.preprocessing
    if limits.kind != "text" or not isinstance(student_set, TokenizedTexts):
        raise ModelError(f"teacher '{teacher.source}'", found="the samples are no texts", wanted="texts")
    if folder is None:
        return RecordedAnswers(samples, student_set)
    own = TextPreprocessing(
        tokenizer=str(folder / TOKENIZER),
        max_length=_max_length(recipe, limits.max_length),
        max_characters=limits.max_characters,
    )
    tokenizer, workers = tokenizer_of(own, recipe_folder, texts=()), student_set.workers
    return TokenizedTexts(samples, tokenizer, student_set.views, recipe.seed, workers=workers)


def require_same_tokens(student_set: TransferSet, teacher_set: TransferSet, *, method: str) -> None:
    """Check that both models see as many tokens of each text, in as many places, so that tokens can be compared.

    Raises:
        DataError: the samples are texts, and they do not.
    """
    if teacher_set is student_set or not isinstance(student_set, TokenizedTexts):
        return
    counts = [_token_counts(seen) for seen in (student_set, teacher_set) if isinstance(seen, TokenizedTexts)]
    if len(counts) == 2 and counts[0][0] == counts[1][0] and (counts[0][1] == counts[1][1]).all():  # noqa: PLR2004
        return
    first = "other limits" if len(counts) < 2 or counts[0][0] != counts[1][0] else _first_unlike(*counts)  # noqa: PLR2004
    raise DataError(
        f"loss '{method}'",
        found=f"teacher and student cut texts into other tokens ({first}), which can't be compared one by one",
        wanted="the same tokens",
        fix="set `data.preprocessing.tokenizer` to the teacher's tokenizer.json and `max_length` to the teacher's, "
        "or choose a method that compares whole texts",
    )


def _token_counts(seen: TokenizedTexts) -> tuple[int, NDArray[np.int64]]:
    """Return the most tokens of a text, and how many each text has."""
    inputs = seen.plain(np.arange(len(seen))).inputs
    return inputs.shape[1], (inputs != seen.tokenizer.padding).sum(1)


def _first_unlike(student: tuple[int, NDArray[np.int64]], teacher: tuple[int, NDArray[np.int64]]) -> str:
    place = int((student[1] != teacher[1]).argmax())
    return f"text {place}: {student[1][place]} of the student, {teacher[1][place]} of the teacher"


def text_inputs(seen: TransferSet) -> TextInputs | None:
    """Return what a model of texts has to know of its inputs, or None of other data."""
    if not isinstance(seen, TokenizedTexts):
        return None
    engine = seen.tokenizer.engine
    tokens = {number: token for token, number in engine.vocabulary.items()} if isinstance(engine, WordPiece) else {}
    return TextInputs(
        vocabulary=seen.tokenizer.size,
        length=seen.tokenizer.preprocessing.max_length,
        padding=seen.tokenizer.padding,
        tokens=tokens,
    )


def _max_length(recipe: Recipe, default: int) -> int:
    options = dict(recipe.teacher.options)
    length = options.pop(MAX_LENGTH, default)
    thing = f"options of '{recipe.teacher.source}'"
    if options:
        raise ModelError(thing, found=f"'{next(iter(options))}'", wanted=f"'{MAX_LENGTH}' alone")
    if isinstance(length, bool) or not isinstance(length, int) or not 4 <= length <= 4096:  # noqa: PLR2004 - as the data's
        raise DataError(f"{thing}: '{MAX_LENGTH}'", found=f"{length!r}", wanted="a whole number from 4 to 4096")
    return length
