"""From raw text to token numbers, in Python and numpy alone. This very file is copied onto devices.

It imports nothing but numpy and the standard library and runs on Python 3.8 with numpy 1.17 and later. Tokenizers of
BERT's kind (WordPiece) are computed here; any other kind is computed by the package `tokenizers`, which the device then
needs too. Errors are `ValueError`, because the device has no `edgedistill.errors`.

A text is looked at character by character with Python's own Unicode tables. They grow from one Python to the next:
characters that are newer than the device's Python may be cut differently there.
"""

from __future__ import annotations

import importlib
import json
import unicodedata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

LARGEST_TOKENIZER_BYTES = 64 * 2**20
WORDS_KEPT = 100_000
"""Words whose pieces are remembered; others are cut again."""

REMOVED = frozenset(("Cc", "Cf", "Co", "Cs"))
"""Unicode categories of characters that are dropped: control, format, private use, surrogate."""

IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
"""Blocks of ideographs, each of which is a word of its own. The fifth begins where `tokenizers` has it begin."""


class WordPiece:
    """A tokenizer of BERT's kind: clean, split into words and punctuation, cut words into the longest known pieces.

    Source: Devlin et al. 2018, arXiv:1810.04805, section 3; Wu et al. 2016, arXiv:1609.08144, section 4.1. Agrees with
    the package `tokenizers` (0.22) on texts that do not spell a special token such as `[SEP]`: those are text here.

    Args:
        document: content of a tokenizer.json whose model is WordPiece.

    Raises:
        ValueError: it is no such tokenizer.
    """

    engine = "wordpiece"

    def __init__(self, document: Mapping[str, Any]) -> None:
        model, normalizer = document["model"], document["normalizer"]
        self.vocabulary = _vocabulary(model["vocab"])
        self.prefix = str(model.get("continuing_subword_prefix", "##"))
        self._longest_word = int(model.get("max_input_chars_per_word", 100))
        self._clean = bool(normalizer.get("clean_text", True))
        self._split_ideographs = bool(normalizer.get("handle_chinese_chars", True))
        self._lowercase = bool(normalizer.get("lowercase", True))
        accents = normalizer.get("strip_accents")
        self._strip_accents = self._lowercase if accents is None else bool(accents)
        self._unknown = self._number(str(model.get("unk_token", "[UNK]")))
        self.padding = self._number("[PAD]")
        self._first, self._last = self._number("[CLS]"), self._number("[SEP]")
        self._pieces: dict[str, tuple[int, ...]] = {}

    @property
    def size(self) -> int:
        """Rows of the embedding table that the token numbers need."""
        return max(self.vocabulary.values()) + 1

    @property
    def special(self) -> set[int]:
        """Numbers of the tokens that stand for no text."""
        return {self.padding, self._unknown, self._first, self._last}

    def encode(self, text: str, length: int) -> list[int]:
        """Return the numbers of at most `length` tokens, the first and last special ones included, unpadded."""
        numbers = [self._first]
        for word in self.words(text):
            numbers.extend(self._word(word))
            if len(numbers) >= length:
                break
        return [*numbers[: length - 1], self._last]

    def words(self, text: str) -> list[str]:
        """Return the normalised words and punctuation marks of a text."""
        text = "".join(self._spaced(character) for character in text)
        if self._strip_accents:
            text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
        if self._lowercase:  # one by one, because a final capital sigma would have a lower case of its own
            text = "".join(character.lower() for character in text)
        return "".join(f" {c} " if _is_punctuation(c) else c for c in text).split()

    def _spaced(self, character: str) -> str:
        if self._clean:
            if (character.isspace() and unicodedata.category(character) != "Cc") or character in "\t\n\r":
                return " "
            if character in "\0\ufffd" or unicodedata.category(character) in REMOVED:
                return ""
        if self._split_ideographs and any(low <= ord(character) <= high for low, high in IDEOGRAPHS):
            return f" {character} "
        return character

    def _word(self, word: str) -> tuple[int, ...]:
        found = self._pieces.get(word)
        if found is None:
            found = self._cut(word)
            if len(self._pieces) < WORDS_KEPT:
                self._pieces[word] = found
        return found

    def _cut(self, word: str) -> tuple[int, ...]:
        """Return the longest pieces from the left, or the unknown token where there is no cut."""
        if len(word) > self._longest_word:
            return (self._unknown,)
        numbers, start = [], 0
        while start < len(word):
            prefix = self.prefix if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self.vocabulary), None)
            if end is None:
                return (self._unknown,)
            numbers.append(self.vocabulary[prefix + word[start:end]])
            start = end
        return tuple(numbers)

    def _number(self, token: str) -> int:
        if token not in self.vocabulary:
            message = f"tokenizer: its vocabulary lacks '{token}'."
            raise ValueError(message)
        return self.vocabulary[token]


class PackageTokenizer:
    """Any other tokenizer, computed by the package `tokenizers`.

    Args:
        text: content of its tokenizer.json.
        padding: the token that fills a short text.

    Raises:
        ValueError: the package is not installed, or refuses the file.
    """

    engine = "tokenizers"

    def __init__(self, text: str, *, padding: str) -> None:
        try:
            package = importlib.import_module("tokenizers")
        except ImportError as error:
            message = "tokenizer: it is no WordPiece, and needs `pip install tokenizers`."
            raise ValueError(message) from error
        try:
            self._tokenizer = package.Tokenizer.from_str(text)
        except Exception as error:  # the package raises plain Exception
            message = f"tokenizer: `tokenizers` says: {error}"
            raise ValueError(message) from error
        self._tokenizer.no_padding()
        number = self._tokenizer.token_to_id(padding)
        if number is None:
            message = f"tokenizer: its vocabulary lacks the padding token '{padding}'."
            raise ValueError(message)
        self.padding = int(number)

    @property
    def size(self) -> int:
        """Rows of the embedding table that the token numbers need."""
        return int(max(self._tokenizer.get_vocab(with_added_tokens=True).values())) + 1

    def encode(self, text: str, length: int) -> list[int]:
        """Return the numbers of at most `length` tokens, special ones included, unpadded."""
        self._tokenizer.enable_truncation(length)
        return cast("list[int]", self._tokenizer.encode(text).ids)


def tokenizer_from_text(text: str) -> WordPiece | PackageTokenizer:
    """Return the tokenizer in the content of a tokenizer.json.

    Raises:
        ValueError: it is no tokenizer.json, or one that cannot be computed here.
    """
    try:
        document = json.loads(text)
        kinds = [document[part] and document[part]["type"] for part in ("model", "normalizer", "pre_tokenizer")]
    except (ValueError, KeyError, TypeError) as error:
        message = f"tokenizer: found no tokenizer.json of the package `tokenizers`: {error!r}."
        raise ValueError(message) from error
    if kinds == ["WordPiece", "BertNormalizer", "BertPreTokenizer"]:
        return WordPiece(document)
    return PackageTokenizer(text, padding=_padding_token(document))


def token_ids(
    texts: Iterable[str], tokenizer: WordPiece | PackageTokenizer, *, max_length: int, max_characters: int
) -> NDArray[np.int32]:
    """Return the token numbers of texts, each cut or filled with the padding token to the same length.

    Args:
        texts: any; what is behind `max_characters` characters is not read.
        tokenizer: from `tokenizer_from_text`.
        max_length: tokens of one text, special ones included; at least 2.
        max_characters: characters of one text that are looked at.

    Returns:
        (n, max_length), int32, C-contiguous.
    """
    rows = [tokenizer.encode(str(text)[:max_characters], max_length) for text in texts]
    numbers = np.full((len(rows), max_length), tokenizer.padding, np.int32)
    for row, found in zip(numbers, rows):  # noqa: B905 - Python 3.8 has no `strict`
        row[: len(found)] = found
    return numbers


def preprocess(raw: NDArray[np.str_], manifest: Mapping[str, object], folder: Path) -> NDArray[np.int32]:
    """Return model inputs of a batch of raw texts, with the tokenizer that an artifact carries.

    Args:
        raw: (n,), texts.
        manifest: JSON form of a `TextPreprocessing`; its tokenizer is a file in the folder.
        folder: of the artifact.

    Returns:
        (n, max_length), int32, C-contiguous.

    Raises:
        ValueError: the batch holds no texts, the tokenizer's path leaves the folder, or its file cannot be used.
    """
    if raw.dtype.kind != "U" or raw.ndim != 1:
        message = f"raw texts: found {raw.dtype} {raw.shape}; wanted texts (n,)."
        raise ValueError(message)
    name = PurePosixPath(str(manifest["tokenizer"]))
    if name.is_absolute() or ".." in name.parts:
        message = f"preprocessing tokenizer: '{name}' leaves the artifact's folder."
        raise ValueError(message)
    tokenizer = tokenizer_from_text(tokenizer_text(folder / name))
    limits = {key: int(cast("int", manifest[key])) for key in ("max_length", "max_characters")}
    return token_ids(cast("Sequence[str]", raw.tolist()), tokenizer, **limits)


def tokenizer_text(path: Path) -> str:
    """Return the content of a tokenizer.json.

    Raises:
        ValueError: it is missing, too large, or no text.
    """
    try:
        if path.stat().st_size > LARGEST_TOKENIZER_BYTES:
            message = f"tokenizer '{path}': found {path.stat().st_size} bytes; no tokenizer is that large."
            raise ValueError(message)
        return path.read_text("utf-8")
    except OSError as error:
        message = f"tokenizer '{path}': {error.strerror or error}."
        raise ValueError(message) from error


def _vocabulary(found: object) -> dict[str, int]:
    if not isinstance(found, dict) or not all(isinstance(number, int) and number >= 0 for number in found.values()):
        message = "tokenizer: its vocabulary is no mapping from tokens to numbers."
        raise ValueError(message)
    return {str(token): int(number) for token, number in found.items()}


def _padding_token(document: Mapping[str, Any]) -> str:
    padding = document.get("padding")
    if isinstance(padding, dict) and "pad_token" in padding:
        return str(padding["pad_token"])
    added = [str(token.get("content")) for token in document.get("added_tokens") or ()]
    return next((token for token in added if token.strip("[]<>|").lower() in ("pad", "padding")), "[PAD]")


def _is_punctuation(character: str) -> bool:
    """Tell whether a character is a word of its own: every ASCII mark, and Unicode's categories P."""
    code = ord(character)
    marks = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126  # noqa: PLR2004 - ASCII
    return marks or unicodedata.category(character).startswith("P")
