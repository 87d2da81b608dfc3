"""Token numbers: by hand, against the package `tokenizers`, and on the oldest Python they have to run on."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tokenizers import tokenizer_json

from edgedistill.data import tokens
from edgedistill.data.tokens import PackageTokenizer, WordPiece, token_ids, tokenizer_from_text

SMALL = WordPiece(json.loads(tokenizer_json()))
# what both Unicode tables know: up to Greek, Cyrillic and Arabic, CJK, emoji
CHARACTERS = st.one_of(
    st.characters(max_codepoint=0x600, exclude_categories=("Cs", "Cn")),
    st.sampled_from("的한カ😀\u200d\u00a0\u3000\u2028ßİΣς…—“”\t\n\r\0\ufffd"),
)


def pieces(text: str, tokenizer: WordPiece = SMALL) -> list[str]:
    names = {number: token for token, number in tokenizer.vocabulary.items()}
    return [names[number] for number in tokenizer.encode(text, 100)]


def test_words_are_cut_into_the_longest_known_pieces() -> None:
    assert pieces("Playing GOOD movies!") == ["[CLS]", "play", "##ing", "good", "movie", "##s", "!", "[SEP]"]


def test_a_character_that_is_not_known_makes_its_word_unknown() -> None:
    assert pieces("good g☃d") == ["[CLS]", "good", "[UNK]", "[SEP]"]


def test_accents_go_and_ideographs_stand_alone() -> None:
    assert SMALL.words("Ünïted 的a") == ["united", "的", "a"]


def test_a_special_token_in_a_text_is_text() -> None:
    assert pieces("[SEP]")[1:-1] == ["[", "s", "##e", "##p", "]"]


def test_long_words_are_unknown() -> None:
    assert pieces("a" * 101) == ["[CLS]", "[UNK]", "[SEP]"]


def test_texts_are_cut_and_filled_to_the_same_length() -> None:
    ids = token_ids(["good", "good " * 50, ""], SMALL, max_length=6, max_characters=1000)
    good, first, last, padding = (SMALL.vocabulary[token] for token in ("good", "[CLS]", "[SEP]", "[PAD]"))
    expected = [[first, good, last, *[padding] * 3], [first, *[good] * 4, last], [first, last, *[padding] * 4]]
    np.testing.assert_array_equal(ids, np.array(expected, np.int32))
    assert ids.dtype == np.int32


def test_what_is_behind_the_last_character_is_not_read() -> None:
    short = token_ids(["good day"], SMALL, max_length=8, max_characters=4)
    np.testing.assert_array_equal(short, token_ids(["good"], SMALL, max_length=8, max_characters=100))


@given(st.text(CHARACTERS, max_size=60))
def test_agrees_with_the_package_tokenizers(text: str) -> None:
    package = pytest.importorskip("tokenizers", reason="the package to compare with is in the extra 'text'")
    reference = package.Tokenizer.from_str(tokenizer_json())
    reference.enable_truncation(24)
    assert SMALL.encode(text, 24) == reference.encode(text).ids


def test_another_kind_is_computed_by_the_package(tmp_path: Path) -> None:
    package = pytest.importorskip("tokenizers", reason="the package is in the extra 'text'")
    model = package.models.BPE({"<pad>": 0, "a": 1, "b": 2, "ab": 3}, [("a", "b")])
    whole = package.Tokenizer(model)
    whole.add_special_tokens(["<pad>"])
    whole.save(str(tmp_path / "tokenizer.json"))
    tokenizer = tokenizer_from_text((tmp_path / "tokenizer.json").read_text("utf-8"))
    assert isinstance(tokenizer, PackageTokenizer)
    assert tokenizer.size == 4
    assert token_ids(["aba"], tokenizer, max_length=5, max_characters=9).tolist() == [[3, 1, 0, 0, 0]]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 3, "normalizer": null, "pre_tokenizer": null}'])
def test_a_file_that_is_no_tokenizer_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match="tokenizer"):
        tokenizer_from_text(content)


def test_a_vocabulary_without_special_tokens_is_refused() -> None:
    document = json.loads(tokenizer_json())
    del document["model"]["vocab"]["[SEP]"]
    with pytest.raises(ValueError, match=r"lacks '\[SEP\]'"):
        tokenizer_from_text(json.dumps(document))


def test_a_tokenizer_outside_of_the_artifact_is_refused(tmp_path: Path) -> None:
    manifest = {"tokenizer": "../tokenizer.json", "max_length": 8, "max_characters": 100}
    with pytest.raises(ValueError, match="leaves the artifact"):
        tokens.preprocess(np.array(["good"]), manifest, tmp_path)


def test_numbers_are_no_texts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wanted texts"):
        tokens.preprocess(np.zeros(3), {}, tmp_path)  # type: ignore[arg-type] # on purpose


def test_runs_on_python_3_8_with_numpy_alone() -> None:
    source = Path(tokens.__file__).read_text("utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - {"numpy"} <= sys.stdlib_module_names
