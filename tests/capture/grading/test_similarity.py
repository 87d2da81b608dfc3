"""The measures are those of their libraries: published examples give published numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.capture.grading.similarity import cosine, similarity
from edgedistill.capture.grading.wordnet import wordnet
from edgedistill.errors import DependencyError

MEASURES = ("fuzzy_match", "bleu", "gleu", *(f"rouge_{n}" for n in range(1, 6)), "rouge_l")
HYPOTHESIS = "It is a guide to action which ensures that the military always obeys the commands of the party"
REFERENCE = "It is a guide to action that ensures that the military will forever heed Party commands"


@pytest.mark.parametrize("measure", MEASURES)
def test_equal_texts(measure: str) -> None:
    assert similarity(measure, HYPOTHESIS, HYPOTHESIS) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("measure", [measure for measure in MEASURES if measure != "fuzzy_match"])
def test_texts_without_a_word_in_common(measure: str) -> None:
    assert similarity(measure, "abc abc abc abc abc", "xyz xyz xyz xyz xyz") == 0.0


@pytest.mark.parametrize("measure", MEASURES)
def test_an_empty_text(measure: str) -> None:
    assert similarity(measure, "", "some words") == similarity(measure, "some words", "") == 0.0


@settings(max_examples=30)
@given(st.sampled_from(MEASURES), st.text(max_size=60), st.text(max_size=60))
def test_any_two_texts_lie_between_0_and_1(measure: str, text: str, reference: str) -> None:
    assert 0.0 <= similarity(measure, text, reference) <= 1.0


def test_fuzzy_match_is_the_graders_guides_example() -> None:
    # fuzz.WRatio of rapidfuzz, lower-cased and without marks: the guide's own Python grader
    assert similarity("fuzzy_match", "fuzzy wuzzy had no hair", "fuzzy wuzzy was a bear") == pytest.approx(
        0.7555555555, abs=1e-9
    )
    assert similarity("fuzzy_match", "PARIS!", "paris") == 1.0


def test_bleu_by_hand() -> None:
    # n-gram precisions 5/6, 3/5, 1/4 and, smoothed, 1/2 of 1/3; as long as the reference, so no penalty
    expected = math.exp((math.log(5 / 6) + math.log(3 / 5) + math.log(1 / 4) + math.log(1 / 2 / 3)) / 4)
    assert similarity("bleu", "the cat sat on a mat", "the cat is on a mat") == pytest.approx(expected, rel=1e-12)


def test_gleu_by_hand() -> None:
    # 5 + 3 + 1 + 0 of 6 + 5 + 4 + 3 n-grams in common (arXiv:1609.08144, section 6)
    assert similarity("gleu", "the cat sat on a mat", "the cat is on a mat") == pytest.approx(9 / 18, rel=1e-12)


def test_rouge_by_hand() -> None:
    # 5 of 6 words, 3 of 5 pairs; the longest common subsequence is "the cat on a mat"
    text, reference = "the cat sat on a mat", "the cat is on a mat"
    assert similarity("rouge_1", text, reference) == pytest.approx(5 / 6, rel=1e-12)
    assert similarity("rouge_2", text, reference) == pytest.approx(3 / 5, rel=1e-12)
    assert similarity("rouge_3", text, reference) == pytest.approx(1 / 4, rel=1e-12)
    assert similarity("rouge_l", text, reference) == pytest.approx(5 / 6, rel=1e-12)


def test_rouge_weighs_precision_and_recall_alike() -> None:
    # precision 1 of 1, recall 1 of 4: F1 = 0.4
    assert similarity("rouge_1", "cat", "the cat is here") == pytest.approx(0.4, rel=1e-12)


def has_wordnet() -> bool:
    try:
        wordnet()
    except DependencyError:
        return False
    return True


def test_meteor_is_nltks_example() -> None:
    if not has_wordnet():
        pytest.skip("WordNet is not installed (Debian: wordnet-base)")
    # nltk.translate.meteor_score, doctest of single_meteor_score: 0.6944
    assert similarity("meteor", HYPOTHESIS, REFERENCE) == pytest.approx(0.6944, abs=5e-5)


def test_meteor_knows_synonyms_and_stems() -> None:
    if not has_wordnet():
        pytest.skip("WordNet is not installed (Debian: wordnet-base)")
    # all words match, in one chunk of two: F = 1, penalty 0.5 (1/2)^3
    assert similarity("meteor", "red car", "red auto") == pytest.approx(1 - 0.5 / 8, rel=1e-12)
    assert similarity("meteor", "running dogs", "runs dog") == pytest.approx(1 - 0.5 / 8, rel=1e-12)
    assert similarity("meteor", "", "a") == 0.0


def test_without_wordnet_meteor_is_refused_and_nothing_else_is_put_in_its_place(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nltk.data  # noqa: PLC0415 - loaded by this test alone

    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path_factory.mktemp("empty")))
    monkeypatch.setattr(nltk.data, "path", [])
    with pytest.raises(DependencyError, match="wordnet-base"):
        wordnet.__wrapped__()


def test_cosine() -> None:
    assert cosine([1.0, 0.0], [1.0, 1.0]) == pytest.approx(math.sqrt(0.5), rel=1e-12)
    assert cosine([1.0, 2.0], [-2.0, -4.0]) == pytest.approx(-1.0, rel=1e-12)
    assert cosine([0.0, 0.0], [1.0, 1.0]) == 0.0
    assert cosine([0.1] * 3072, [0.1] * 3072) <= 1.0
