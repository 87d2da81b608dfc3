"""The report says what the run found; nothing in it comes from elsewhere or runs."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from edgedistill.capture.grading.evaluation import evaluation_from_document
from edgedistill.capture.grading.history import runs_in
from edgedistill.capture.grading.outcome import Outcome
from edgedistill.capture.grading.page import histogram, rows_of_page, write_page
from edgedistill.capture.grading.record import criterion_of
from edgedistill.capture.grading.run import grade_samples
from edgedistill.capture.grading.samples import Sample

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>{{ item.x }}"
CRITERIA = [
    {
        "type": "string_check",
        "name": "equal <b>",
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}}",
        "operation": "eq",
    },
    {
        "type": "text_similarity",
        "name": "alike",
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}}",
        "evaluation_metric": "fuzzy_match",
        "pass_threshold": 0.5,
    },
]


def graded(history: Path, answers: list[str]) -> Path:
    samples = [
        Sample(f"s-{n}", {"question": f"{HOSTILE} {n}?", "answer": "yes"}, {"output_text": answer})
        for n, answer in enumerate(answers)
    ]
    run = grade_samples(evaluation_from_document(CRITERIA, name="Page"), samples, source="rows", history=history)
    return write_page(run.folder, samples=samples)


def test_the_page_says_what_was_found(tmp_path: Path) -> None:
    page = graded(tmp_path, ["yes", "no", "yes", HOSTILE]).read_text("utf-8")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    assert "2 of 4 samples pass: 50.00 %" in text
    assert "interval 15.00 % to 85.00 %" in text
    assert "equal &lt;b&gt;" in text


def test_nothing_runs_and_nothing_is_fetched(tmp_path: Path) -> None:
    page = graded(tmp_path, [HOSTILE]).read_text("utf-8")

    class Tags(HTMLParser):
        found: set[str] = set()  # noqa: RUF012 - one page, one parser
        addresses: set[str] = set()  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found.add(tag)
            self.addresses |= {str(value) for name, value in attrs if name in ("href", "src")}

    tags = Tags()
    tags.feed(page)
    assert tags.found.isdisjoint({"script", "iframe", "img", "object", "form"})
    assert all(address.startswith(("#", "data:")) for address in tags.addresses)
    assert "default-src 'none'" in page


def test_a_comparison_shows_what_changed(tmp_path: Path) -> None:
    graded(tmp_path, ["yes", "no", "yes"])
    graded(tmp_path, ["no", "yes", "yes"])
    before, after = runs_in(tmp_path)
    page = write_page(after.folder, before=before).read_text("utf-8")
    assert "1 pass now and did not; 1 passed and do not" in page
    assert page.index('flip-worse">') < page.index('flip-better">')


def test_without_their_text_samples_are_shown_by_id(tmp_path: Path) -> None:
    graded(tmp_path, ["yes"])
    (place,) = runs_in(tmp_path)
    page = write_page(place.folder).read_text("utf-8")
    assert "s-0" in page
    assert "alert(1)" not in page


def test_what_needs_attention_comes_first() -> None:
    outcomes = {
        "good": [Outcome("g", "python", 1.0, passed=True)],
        "bad": [Outcome("g", "python", 0.0, passed=False)],
        "lost": [Outcome("g", "python", None, error="gone")],
        "worse": [Outcome("g", "python", 0.0, passed=False)],
    }
    rows = rows_of_page(outcomes, [], {"worse": "worse"})
    assert [row.id for row in rows] == ["worse", "lost", "bad", "good"]
    assert [row.state for row in rows] == ["failed", "errored", "failed", "passed"]


def test_bars_are_those_of_the_scores() -> None:
    scores = [0.0, 0.04, 0.51, 1.0, 1.0]
    outcomes = {str(n): [Outcome("g", "text_similarity", score)] for n, score in enumerate(scores)}
    criterion = criterion_of("g", "text_similarity", [o[0] for o in outcomes.values()], model="", threshold=1.0)
    bars = histogram(criterion, outcomes)
    assert [bar.samples for bar in bars] == [2, *[0] * 9, 1, *[0] * 8, 2]
    assert [bar.passes for bar in bars if bar.samples] == [False, False, True]
    assert bars[0].height == bars[-1].height == 1.0


def test_scores_beyond_1_have_their_own_range() -> None:
    outcomes = {str(n): [Outcome("g", "python", float(n))] for n in range(41)}
    criterion = criterion_of("g", "python", [o[0] for o in outcomes.values()], model="", threshold=None)
    bars = histogram(criterion, outcomes)
    assert (bars[0].low, bars[-1].high) == (0.0, 40.0)
    assert sum(bar.samples for bar in bars) == 41
    same = {"a": [Outcome("g", "python", 7.0)]}
    assert histogram(criterion_of("g", "python", same["a"], model="", threshold=None), same) == []
