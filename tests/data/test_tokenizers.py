"""The tokenizer of a recipe, and the vocabulary cut down to what training texts use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from small_tokenizers import opinions, tokenizer_json

from edgedistill.data.preprocessing import TextPreprocessing
from edgedistill.data.tokenizers import fingerprint, tokenizer_of
from edgedistill.data.tokens import WordPiece
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [text for text, _ in opinions(40)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(), "utf-8")
    return tmp_path


def preprocessing(**changes: object) -> TextPreprocessing:
    return TextPreprocessing.model_validate({"tokenizer": "tokenizer.json", "max_length": 16, **changes})


def test_the_whole_tokenizer_is_the_file(folder: Path) -> None:
    whole = tokenizer_of(preprocessing(), folder, texts=())
    assert whole.text == tokenizer_json()
    assert whole.ids(["good day"]).shape == (1, 16)


def test_a_cut_keeps_what_is_frequent_and_cuts_the_rest_into_characters(folder: Path) -> None:
    whole = tokenizer_of(preprocessing(), folder, texts=())
    extra = [*TEXTS, "walking"]
    small = tokenizer_of(preprocessing(vocabulary=100), folder, texts=extra)
    assert small.size <= 100 < whole.size
    assert small.padding == 0
    engine, kept = small.engine, json.loads(small.text)["model"]["vocab"]
    assert isinstance(engine, WordPiece)
    assert {"good", "movie"} <= kept.keys()
    unknown = kept["[UNK]"]
    assert all(unknown not in engine.encode(text, 200) for text in extra)


def test_a_cut_tokenizer_is_one_that_the_package_reads(folder: Path) -> None:
    package = pytest.importorskip("tokenizers", reason="the package to compare with is in the extra 'text'")
    small = tokenizer_of(preprocessing(vocabulary=100), folder, texts=TEXTS)
    reference = package.Tokenizer.from_str(small.text)
    for text in TEXTS:
        assert small.engine.encode(text, 64) == reference.encode(text).ids


def test_the_same_texts_give_the_same_cut_in_any_order(folder: Path) -> None:
    first = tokenizer_of(preprocessing(vocabulary=100), folder, texts=TEXTS)
    assert tokenizer_of(preprocessing(vocabulary=100), folder, texts=TEXTS[::-1]).text == first.text


def test_a_cut_below_the_single_characters_is_refused(folder: Path) -> None:
    everything = ["".join(json.loads(tokenizer_json())["model"]["vocab"])]
    with pytest.raises(DataError, match="single characters"):
        tokenizer_of(preprocessing(vocabulary=100), folder, texts=everything)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tokenizer 'tokenizer\.json'.*No such file"):
        tokenizer_of(preprocessing(), tmp_path, texts=())
    with pytest.raises(DataError, match="No such file"):
        fingerprint(preprocessing(), tmp_path)


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    with pytest.raises(DataError, match=r"no tokenizer\.json"):
        tokenizer_of(preprocessing(), tmp_path, texts=()).ids(["a"])
