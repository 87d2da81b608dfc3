"""WordNet 3.0, where it lies: as nltk's own corpus, or as Debian's package wordnet-base. Nothing is downloaded."""

from __future__ import annotations

import io
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import nltk.data
from nltk.corpus.reader.wordnet import WordNetCorpusReader

from edgedistill.errors import DependencyError

if TYPE_CHECKING:
    from typing import TextIO

VARIABLE: Final = "WNSEARCHDIR"
"""WordNet's own environment variable for the folder of its files (wnintro(3WN))."""
DEBIAN: Final = "/usr/share/wordnet"
_LEXICOGRAPHER_FILES = 45


@cache
def wordnet() -> WordNetCorpusReader:
    """Return WordNet; loading it takes about two seconds, once.

    Raises:
        DependencyError: it is nowhere.
    """
    try:
        return _Files(str(nltk.data.find("corpora/wordnet")))
    except LookupError:
        folder = Path(os.environ.get(VARIABLE, DEBIAN))
    if not (folder / "data.noun").is_file():
        raise DependencyError(
            "measure 'meteor'",
            found="the files of WordNet are missing, by which it knows synonyms",
            wanted=f"nltk's corpus, or a folder {folder}",
            fix="apt-get install wordnet-base, or python -m nltk.downloader wordnet",
        )
    # nltk 3.9 and later reads nothing outside of its data path
    nltk.data.path.append(str(folder))
    return _Files(str(folder))


class _Files(WordNetCorpusReader):  # type: ignore[misc]  # nltk has no types
    """English alone, from files that may lack `lexnames`: Debian does not package it, and METEOR does not use it."""

    def __init__(self, root: str) -> None:
        super().__init__(root, omw_reader=object())  # None would warn that other languages are missing

    def open(self, file: str) -> TextIO:
        """Return an open file of WordNet."""
        if file == "lexnames":
            return io.StringIO("".join(f"{index:02d}\tfile{index}\t1\n" for index in range(_LEXICOGRAPHER_FILES)))
        opened: TextIO = super().open(file)
        return opened

    def map_wn(self, version: str = "wordnet") -> None:
        """Map nothing: that table, for other languages, needs `index.sense`."""
