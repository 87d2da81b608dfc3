"""Measures of how alike two texts are, from 0 to 1, by the libraries that define them.

| measure | computed by | same number as |
|---|---|---|
| fuzzy_match | rapidfuzz `fuzz.WRatio` of lower-cased words, / 100 | the graders guide's own example |
| bleu | sacrebleu, sentence level, 13a tokens, exponential smoothing, effective order, / 100 | `sacrebleu -sl` |
| gleu | nltk `sentence_gleu` of 13a tokens, n-grams 1 to 4 | Hugging Face evaluate's google_bleu |
| meteor | nltk `meteor_score` (alpha 0.9, beta 3, gamma 0.5), Treebank tokens, WordNet 3.0 | nltk (*) |
| rouge_1 ... rouge_5, rouge_l | rouge-score, F1, no stemming | Hugging Face evaluate's rouge |
| cosine | cosine of two embeddings, from an endpoint | |

(*) nltk 3.10 looks for synonyms of words that it has stemmed before, so that "automobile" ("automobil") has none. Its
numbers are kept.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Final

from edgedistill.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

COSINE: Final = "cosine"
EMBEDDING_MODEL: Final = "text-embedding-3-large"
"""The model that the published `cosine` uses."""


def similarity(metric: str, text: str, reference: str) -> float:
    """Return how alike a text is to its reference, from 0 to 1, as the measure's library counts it.

    Args:
        metric: any of the published measures except `cosine`, which needs a model.
        text: the text being graded.
        reference: what it is compared with.

    Raises:
        DependencyError: the library that defines the measure is missing, or the WordNet files that METEOR needs.
    """
    measure = _MEASURES.get(metric)
    try:
        value = measure(text, reference) if measure else _rouge(metric, text, reference)
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"measure '{metric}'", found=f"{error.name} is not installed", fix="pip install 'edgedistill[grading]'"
        ) from error
    return min(1.0, max(0.0, value))


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors of one length, from -1 to 1; 0 if one is zero."""
    norms = math.hypot(*first) * math.hypot(*second)
    product = math.fsum(map(operator.mul, first, second))
    return max(-1.0, min(1.0, product / norms)) if norms else 0.0


def _fuzzy_match(text: str, reference: str) -> float:
    from rapidfuzz import fuzz, utils  # noqa: PLC0415 - an optional package

    return fuzz.WRatio(text, reference, processor=utils.default_process) / 100


def _bleu(text: str, reference: str) -> float:
    from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415 - an optional package

    return float(BLEU(effective_order=True).sentence_score(text, [reference]).score) / 100


def _gleu(text: str, reference: str) -> float:
    from nltk.translate.gleu_score import sentence_gleu  # noqa: PLC0415 - an optional package
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a  # noqa: PLC0415

    tokenized = Tokenizer13a()  # type: ignore[no-untyped-call]
    words, wanted = (tokenized(part).split() for part in (text, reference))
    return float(sentence_gleu([wanted], words)) if words and wanted else 0.0


def _meteor(text: str, reference: str) -> float:
    from nltk.tokenize import NLTKWordTokenizer  # noqa: PLC0415 - an optional package
    from nltk.translate.meteor_score import single_meteor_score  # noqa: PLC0415

    from edgedistill.capture.grading.wordnet import wordnet  # noqa: PLC0415 - it imports nltk

    words, wanted = (NLTKWordTokenizer().tokenize(part) for part in (text, reference))
    return float(single_meteor_score(wanted, words, wordnet=wordnet())) if words and wanted else 0.0


def _rouge(metric: str, text: str, reference: str) -> float:
    from rouge_score.rouge_scorer import RougeScorer  # noqa: PLC0415 - an optional package

    name = {"rouge_l": "rougeL"}.get(metric, metric.replace("_", ""))
    return float(RougeScorer([name], use_stemmer=False).score(reference, text)[name].fmeasure)


_MEASURES: Mapping[str, Callable[[str, str], float]] = {
    "fuzzy_match": _fuzzy_match,
    "bleu": _bleu,
    "gleu": _gleu,
    "meteor": _meteor,
}
