"""A small tokenizer of BERT's kind, and texts whose class its words decide."""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
GOOD = ("good", "great", "nice", "love", "happy")
BAD = ("bad", "awful", "poor", "hate", "angry")
OTHER = ("the", "a", "movie", "phone", "was", "is", "very", "day", "it", "and", "##ing", "##ed", "play", "walk", "##s")


def tokenizer_json(words: tuple[str, ...] = GOOD + BAD + OTHER) -> str:
    """Return a tokenizer.json as `tokenizers` writes it: some words, and every ASCII character as a piece."""
    characters = [c for c in string.printable if c.isprintable() and not c.isspace() and not c.isupper()]
    pieces = [*SPECIAL, *words, *characters, *(f"##{c}" for c in characters)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    added = [
        {"id": vocabulary[token], "content": token, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for token in SPECIAL
    ]
    template = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    template.append({"SpecialToken": {"id": "[SEP]", "type_id": 0}})
    special = {token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]} for token in ("[CLS]", "[SEP]")}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
                "strip_accents": None,
                "lowercase": True,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": template,
                "pair": [*template, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": special,
            },
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {
                "type": "WordPiece",
                "unk_token": "[UNK]",
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": vocabulary,
            },
        }
    )


def opinions(count: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Return (text, "good" or "bad") pairs: random words, two of which decide."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        label, telling = ("good", GOOD) if number % 2 else ("bad", BAD)
        words = [*rng.choice(OTHER[:10], rng.integers(3, 9)), *rng.choice(telling, 2)]
        found.append((" ".join(rng.permutation(words)) + f" {number}", label))
    return found


def write_opinions(path: Path, count: int, **extra: object) -> Path:
    """Write opinions as JSON lines, with further keys for every row."""
    rows = ({"text": text, "label": label, **extra} for text, label in opinions(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
