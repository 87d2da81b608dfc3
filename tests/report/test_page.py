"""The page: its structure, read with a parser; nothing from outside; nothing of the summary taken as markup."""

import html
import importlib.resources
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from edgedistill.errors import DataError
from edgedistill.evaluate.executor import Execution
from edgedistill.report.page import write_report
from edgedistill.report.wording import BADGES
from edgedistill.run.summary import FILE, Summary

Layer = Callable[[Summary], Path]
ALWAYS = ["verdict", "headline", "ladder", "gates", "parity", "latency", "artifacts", "stages", "recipe", "versions"]
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}&amp;"


class Page(HTMLParser):
    """Every element with its attributes, and the text of the page by element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "wbr") and not self.get_starttag_text().endswith("/>"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"<{tag}> is closed where another element is open"

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def styled(self, style: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.elements if style in (attributes.get("class") or "").split()]

    @property
    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.elements if "id" in attributes]

    @property
    def text(self) -> str:
        return " ".join(" ".join(text for tag, text in self.texts if tag != "style").split())


def read(folder: Path) -> Page:
    return Page(write_report(folder).read_text("utf-8"))


def test_every_section_is_there_once_and_can_be_reached(full: Summary, run_folder: Layer) -> None:
    page = read(run_folder(full))
    assert len(page.all("h1")) == 1
    optional = ["instructions", "layers", "training", "confusion", "notes"]
    assert sorted(page.ids) == sorted(ALWAYS + optional)
    links = [str(attributes["href"]).removeprefix("#") for attributes in page.all("a")]
    assert sorted(links) == sorted(set(page.ids) - {"verdict", "headline"})


def test_a_summary_with_nothing_optional_still_has_the_sections_that_matter(
    minimal: Summary, run_folder: Layer
) -> None:
    page = read(run_folder(minimal))
    assert page.ids == ALWAYS
    for sentence in ("No accuracy was measured.", "nothing was checked", "Nothing was compared.", "No latency"):
        assert sentence in page.text
    assert "verdict-not-run" in str(page.styled("verdict"))


def test_synthetic_data_are_called_so_beside_the_verdict(full: Summary, run_folder: Layer) -> None:
    assert "Synthetic data" not in read(run_folder(full)).text
    page = read(run_folder(full.model_copy(update={"synthetic": "speech synthesised by a test"})))
    assert "Synthetic data: speech synthesised by a test. Accuracy on this page says nothing of" in page.text


def test_real_samples_of_a_student_that_learned_from_synthetic_ones_are_not_called_synthetic(
    full: Summary, run_folder: Layer
) -> None:
    made = {"synthetic": "synthesised from the teacher", "synthetic_evaluation": ""}
    text = read(run_folder(full.model_copy(update=made))).text
    assert "Learned from synthetic data: synthesised from the teacher. Accuracy is measured on samples that are" in text
    assert "says nothing of recorded data" not in text


@pytest.mark.parametrize("variant", ["full", "not_run", "failed", "minimal"])
def test_the_page_needs_nothing_from_outside(variant: str, run_folder: Layer, request: pytest.FixtureRequest) -> None:
    text = write_report(run_folder(request.getfixturevalue(variant))).read_text("utf-8")
    page = Page(text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    assert not {"script", "iframe", "img", "object", "embed", "base", "form"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        assert not {"src", "srcset", "onclick", "onload", "onerror"} & attributes.keys()
        assert (attributes.get("href") or "#").startswith(("#", "data:"))


@pytest.mark.parametrize(("variant", "state"), [("full", "passed"), ("not_run", "not-run"), ("failed", "failed")])
def test_the_verdict_is_the_first_thing_to_see(
    variant: str, state: str, run_folder: Layer, request: pytest.FixtureRequest
) -> None:
    page = read(run_folder(request.getfixturevalue(variant)))
    assert page.ids[0] == "verdict"
    assert len(page.styled(f"verdict-{state}")) == 1


def test_every_rung_wears_the_badge_of_its_execution(not_run: Summary, run_folder: Layer) -> None:
    text = write_report(run_folder(not_run)).read_text("utf-8")
    table = text.partition('aria-label="Accuracy ladder"')[2].partition("</table>")[0]
    shown = re.findall(r'badge-([a-z-]+)"[^>]*>([^<]+)<', table)
    assert shown == [(str(rung.execution), BADGES[rung.execution]) for rung in not_run.ladder]
    assert Execution.DEVICE not in dict(shown)


def test_host_latency_is_labelled_for_what_it_is(full: Summary, run_folder: Layer) -> None:
    text = write_report(run_folder(full)).read_text("utf-8")
    section = text.partition('<section id="latency">')[2].partition("</section>")[0]
    assert "this workstation, not the device" in section.partition("</h2>")[0]
    assert section.count("badge-host") == 3
    assert "a count, not a time" in text.partition('<section id="instructions">')[2].partition("</h2>")[0]


def test_figures_and_tables_hold_the_numbers(full: Summary, run_folder: Layer) -> None:
    text = read(run_folder(full)).text
    for number in (
        "91.98 %",
        "91.43\N{EN DASH}92.50 %",
        "99.996 %",
        "98.73 %",
        "11,842,311",
        "0.521",
        "1,283.6",
        "118",
    ):
        assert number in text
    assert "Artifact onnxruntime-x86_64, Artifact onnxruntime-aarch64" in text, "equal matrices are drawn once"
    assert "Shirt taken for T-shirt/top 118" in text


def test_the_whole_hash_is_a_look_away(full: Summary, run_folder: Layer) -> None:
    page = read(run_folder(full))
    titles = [attributes.get("title") for attributes in page.all("code")]
    assert {file.sha256 for file in full.artifacts[0].files} <= set(titles)


def test_the_recipe_can_be_taken_from_the_page(full: Summary, run_folder: Layer) -> None:
    page = read(run_folder(full))
    taken = yaml.safe_load("".join(text for tag, text in page.texts if tag == "pre"))
    assert taken == full.recipe
    assert list(taken) == list(full.recipe), "in the recipe's own order"


def hostile(value: object) -> object:
    """Return a JSON document with markup put into every text that people may write."""
    if isinstance(value, dict):
        fixed = ("execution", "reference_execution", "other_execution", "state", "schema_version", "verdict")
        fixed += ("measurement_file",)
        return {key: item if key in fixed else hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return value + HOSTILE if isinstance(value, str) else value


def test_no_text_of_the_summary_becomes_markup(full: Summary, run_folder: Layer) -> None:
    folder = run_folder(full)
    expected = [tag for tag, _ in read(folder).elements]
    document = json.loads((folder / FILE).read_text("utf-8"))
    (folder / FILE).write_text(json.dumps(hostile(document)), "utf-8")
    text = write_report(folder).read_text("utf-8")
    page = Page(text)
    assert set(expected) >= {tag for tag, _ in page.elements}
    assert html.escape(HOSTILE, quote=False) in text.replace("&#39;", "'").replace("&#34;", '"').replace("&quot;", '"')
    assert "<script" not in text
    assert not any("onerror" in attributes for _, attributes in page.elements)


def test_the_same_run_gives_the_same_bytes(full: Summary, run_folder: Layer) -> None:
    folder = run_folder(full)
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first
    assert str(folder).encode() not in first
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["report.html", FILE]


def test_more_classes_than_a_page_holds_are_named_by_their_confusions(full: Summary, run_folder: Layer) -> None:
    counts = tuple(tuple(7 if (i, j) == (3, 4) else 0 for j in range(50)) for i in range(50))
    many = full.confusion[0].model_copy(update={"counts": counts})
    names = tuple(f"kind {index}" for index in range(50))
    text = read(run_folder(full.model_copy(update={"classes": names, "confusion": (many,)}))).text
    assert "A matrix of 50 classes does not fit a page" in text
    assert "kind 3 taken for kind 4 7" in text


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"summary\.json cannot be read.*`edgedistill run` writes it"):
        write_report(tmp_path)
    (tmp_path / FILE).write_text("{}", "utf-8")
    with pytest.raises(DataError, match=r"summary\.json cannot be read"):
        write_report(tmp_path)


def test_templates_are_files_of_the_package() -> None:
    files = {item.name for item in importlib.resources.files("edgedistill.report").iterdir()}
    assert {"report.html.jinja", "macros.jinja", "report.css"} <= files


def test_the_style_sheet_has_nothing_that_a_template_engine_would_take() -> None:
    css = importlib.resources.files("edgedistill.report").joinpath("report.css").read_text("utf-8")
    assert not re.search(r"\{[{%#]|</style", css)
