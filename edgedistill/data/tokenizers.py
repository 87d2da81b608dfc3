"""The tokenizer of a recipe: read from its file, and cut down to the tokens that the training texts use."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from edgedistill.data.tokens import WordPiece, token_ids, tokenizer_from_text, tokenizer_text
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.data.preprocessing import TextPreprocessing
    from edgedistill.data.tokens import PackageTokenizer

ASSET = "tokenizer.json"
"""Name of the tokenizer's file in an artifact."""


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer and its limits, as the model of one recipe wants them.

    Args:
        text: content of its tokenizer.json: what travels with the artifact.
        preprocessing: limits of length.
    """

    text: str
    preprocessing: TextPreprocessing

    @cached_property
    def engine(self) -> WordPiece | PackageTokenizer:
        """What computes it, here and on the device."""
        try:
            return tokenizer_from_text(self.text)
        except ValueError as error:
            raise DataError(f"tokenizer '{self.preprocessing.tokenizer}'", found=str(error)) from error

    @property
    def size(self) -> int:
        """Rows of the embedding table that its token numbers need."""
        return self.engine.size

    @property
    def padding(self) -> int:
        """Number of the token that fills a short text."""
        return self.engine.padding

    @property
    def fingerprint(self) -> str:
        """Sha256 of the tokenizer."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def ids(self, texts: Iterable[str] | NDArray[np.str_]) -> NDArray[np.int32]:
        """Return the token numbers (n, max_length), int32, of texts."""
        limits = self.preprocessing
        return token_ids(
            texts,
            self.engine,
            max_length=limits.max_length,
            max_characters=limits.max_characters,
        )


def tokenizer_of(preprocessing: TextPreprocessing, recipe_folder: Path, *, texts: Sequence[str]) -> Tokenizer:
    """Return the tokenizer that a recipe names, cut down to the vocabulary it asks for.

    Args:
        preprocessing: from the recipe.
        recipe_folder: relative paths are looked for here.
        texts: the training texts; looked at only where the vocabulary is to be cut.

    Raises:
        DataError: the file is missing or no tokenizer, or a cut is asked for of one that is no WordPiece.
    """
    whole = Tokenizer(read_tokenizer(preprocessing.tokenizer, recipe_folder), preprocessing)
    wanted = preprocessing.vocabulary
    if wanted is None or wanted >= whole.size:
        return whole
    if not isinstance(whole.engine, WordPiece):
        raise DataError(
            "'data.preprocessing.vocabulary'",
            found=f"'{preprocessing.tokenizer}' is no WordPiece tokenizer",
            wanted="a tokenizer of BERT's kind",
            fix="leave 'vocabulary' away",
        )
    limited = (str(text)[: preprocessing.max_characters] for text in texts)
    return Tokenizer(_cut_down(whole, whole.engine, limited, size=wanted), preprocessing)


def read_tokenizer(name: str, recipe_folder: Path) -> str:
    """Return the content of a tokenizer.json.

    Raises:
        DataError: it is missing, too large or no text.
    """
    try:
        return tokenizer_text(recipe_folder / name)
    except ValueError as error:
        raise DataError(f"tokenizer '{name}'", found=str(error)) from error


def fingerprint(preprocessing: TextPreprocessing, recipe_folder: Path) -> str:
    """Return the sha256 of the tokenizer file that a recipe names.

    Raises:
        DataError: it is missing, too large or no text.
    """
    return hashlib.sha256(read_tokenizer(preprocessing.tokenizer, recipe_folder).encode()).hexdigest()


def _cut_down(whole: Tokenizer, engine: WordPiece, texts: Iterable[str], *, size: int) -> str:
    """Return a tokenizer.json with the special tokens, every single character, and the most frequent pieces.

    Words whose pieces are gone are cut into shorter ones, down to characters, so that none becomes unknown that was
    known before. Tokens keep their order.
    """
    document = json.loads(whole.text)
    counts: Counter[int] = Counter()
    for text in texts:
        counts.update(engine.encode(text, len(text) + 2))
    special = {int(token["id"]) for token in document.get("added_tokens") or ()} | engine.special
    kept = special | _single_characters(engine, counts)
    if len(kept) > size:
        raise DataError(
            "'data.preprocessing.vocabulary'",
            found=f"{size}",
            wanted=f"at least {len(kept)}: special tokens and single characters",
        )
    for number, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if len(kept) == size:
            break
        kept.add(number)
    tokens = {number: token for token, number in engine.vocabulary.items()}
    order = sorted(kept & tokens.keys())
    document["model"]["vocab"] = {tokens[number]: place for place, number in enumerate(order)}
    places = {tokens[number]: place for place, number in enumerate(order)}
    for token in document.get("added_tokens") or ():
        token["id"] = places[token["content"]]
    for entry in ((document.get("post_processor") or {}).get("special_tokens") or {}).values():
        entry["ids"] = [places[token] for token in entry["tokens"]]
    document["truncation"] = document["padding"] = None  # the manifest says the lengths
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _single_characters(engine: WordPiece, counts: Counter[int]) -> set[int]:
    """Return the pieces that are one character long, of every character that a counted token has."""
    tokens = {number: token for token, number in engine.vocabulary.items()}
    characters = {character for number in counts for character in tokens[number].removeprefix(engine.prefix)}
    return {number for token, number in engine.vocabulary.items() if token.removeprefix(engine.prefix) in characters}
