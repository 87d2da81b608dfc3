"""Texts in views: words left out, the same every time, and a teacher's recorded answers beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from small_tokenizers import opinions, tokenizer_json

from edgedistill.data.preprocessing import TextPreprocessing
from edgedistill.data.text_rows import TextRow, samples_from_rows
from edgedistill.data.text_views import RecordedAnswers, TokenizedTexts
from edgedistill.data.tokenizers import Tokenizer, tokenizer_of
from edgedistill.data.views import transfer_set
from edgedistill.errors import DataError
from edgedistill.recipe import Views

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.data.transfer_set import Samples


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(), "utf-8")
    return tokenizer_of(TextPreprocessing(tokenizer="tokenizer.json", max_length=12), tmp_path, texts=())


def samples(*, answered: bool = True) -> Samples:
    rows = [TextRow(text, label, {label: -0.2} if answered else None, "train") for text, label in opinions(30)]
    return samples_from_rows(rows, "train", source="x", fingerprint="f", max_characters=500, labelled=True)


def test_without_dropped_words_there_is_one_view(tokenizer: Tokenizer) -> None:
    texts = TokenizedTexts(samples(), tokenizer, Views(count=4), seed=0)
    assert texts.view_count == 1
    batch = texts.batch([3, 1], view=0)
    np.testing.assert_array_equal(batch.inputs, tokenizer.ids(samples().raw[[3, 1]]))
    np.testing.assert_array_equal(batch.labels, samples().labels[[3, 1]])


def test_a_view_leaves_words_out_and_adds_none(tokenizer: Tokenizer) -> None:
    texts = TokenizedTexts(samples(), tokenizer, Views(count=3, drop_words=0.4), seed=0)
    whole = texts.plain(range(30)).inputs
    views = [texts.batch(range(30), view=view).inputs for view in range(3)]
    assert not any(np.array_equal(view, whole) for view in views)
    assert not np.array_equal(views[0], views[1])
    lengths = (whole != 0).sum(1)
    for view in views:
        assert ((view != 0).sum(1) <= lengths).all()
        assert ((view != 0).sum(1) > 2).all()  # never all of a text


def test_a_view_is_the_same_however_it_is_asked_for(tokenizer: Tokenizer) -> None:
    settings = Views(count=3, drop_words=0.3)
    one, other = (TokenizedTexts(samples(), tokenizer, settings, seed=5) for _ in range(2))
    other.batch([0], view=0)
    np.testing.assert_array_equal(one.batch([7, 2], view=2).inputs, other.batch([2, 7], view=2).inputs[::-1])
    assert one.fingerprint == other.fingerprint
    assert TokenizedTexts(samples(), tokenizer, settings, seed=6).fingerprint != one.fingerprint


def test_views_of_images_are_refused(tokenizer: Tokenizer) -> None:
    for views, name in ((Views(flip=True), "flip"), (Views(mixup=0.2), "mixup")):
        with pytest.raises(DataError, match=name):
            TokenizedTexts(samples(), tokenizer, views, seed=0)


def test_texts_need_a_tokenizer(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="no tokenizer"):
        transfer_set(samples(), tokenizer.preprocessing, Views(), 0)


def test_recorded_answers_take_the_place_of_inputs(tokenizer: Tokenizer) -> None:
    found = samples()
    seen = TokenizedTexts(found, tokenizer, Views(count=2, drop_words=0.2), seed=0)
    recorded = RecordedAnswers(found, seen)
    assert (recorded.view_count, len(recorded)) == (2, 30)
    np.testing.assert_array_equal(recorded.batch([4, 9], view=1).inputs, found.answers[[4, 9]])  # type: ignore[index]
    np.testing.assert_array_equal(recorded.plain([0]).inputs.argmax(1), found.labels[:1])
    assert recorded.fingerprint != seen.fingerprint


def test_samples_without_answers_have_no_recorded_teacher(tokenizer: Tokenizer) -> None:
    found = samples(answered=False)
    with pytest.raises(DataError, match="no answer of a teacher"):
        RecordedAnswers(found, TokenizedTexts(found, tokenizer, Views(), seed=0))
