"""The page in a real browser: it never widens a screen, and no label of a picture covers another."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from edgedistill.report.page import write_report
from edgedistill.run.summary import Summary

WIDTHS = (360, 390, 768, 1280)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
# frames of a srcdoc document share its origin, so the outer page may measure them
PROBE = """
<!doctype html><meta charset="utf-8"><body><script>
const pages = PAGES, widths = WIDTHS, found = [];
const visible = box => box.width > 0 && box.height > 0;
const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
function measure(name, width, frame) {
  const root = frame.contentDocument.documentElement, clashes = [], outside = [], unseen = [];
  let pictures = 0, smallest = 99;
  for (const svg of root.querySelectorAll("svg")) {
    if (!visible(svg.getBoundingClientRect())) continue;
    pictures += 1;
    const texts = [...svg.querySelectorAll("text")].filter(text => visible(text.getBoundingClientRect()));
    const boxes = texts.map(text => text.getBoundingClientRect());
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    texts.forEach((text, i) => {
      smallest = Math.min(smallest, scale * parseFloat(frame.contentWindow.getComputedStyle(text).fontSize));
      if (boxes[i].left < -1 || boxes[i].right > width + 1) outside.push(text.textContent);
      for (let j = 0; j < i; j += 1)
        if (overlap(boxes[i], boxes[j])) clashes.push(texts[j].textContent + " | " + text.textContent);
    });
  }
  for (const holder of new Set([...root.querySelectorAll(".drawing")].map(item => item.parentElement))) {
    if (!visible(holder.getBoundingClientRect())) continue;
    if (![...holder.querySelectorAll(":scope > .drawing")].some(item => visible(item.getBoundingClientRect())))
      unseen.push(holder.textContent.slice(0, 80));
  }
  return {name, width, scroll: root.scrollWidth, pictures, smallest, clashes, outside, unseen};
}
for (const [name, page] of Object.entries(pages)) for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.style = `width: ${width}px; height: 900px; border: 0; display: block`;
  frame.onload = () => {
    found.push(measure(name, width, frame));
    document.title = JSON.stringify(found);
  };
  frame.srcdoc = page;
  document.body.append(frame);
}
</script>
"""


@pytest.fixture
def browser() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium on PATH: the page was not looked at in a browser")


def with_long_names(summary: Summary) -> Summary:
    """Return the run with names as long as a user may choose, some without any place to break."""
    long = "arm-onnxruntime/" + "raspberry" * 12
    ladder = [
        rung.model_copy(update={"target": rung.target and long, "executor": "x" * 200}) for rung in summary.ladder
    ]
    gates = [gate.model_copy(update={"name": "gate" * 40, "found": "f" * 200}) for gate in summary.gates]
    artifact = summary.artifacts[0].model_copy(update={"folder": "folder/" * 30, "profile": "raspberry" * 12})
    latency = (summary.latency[0], summary.latency[1].model_copy(update={"model": long}))
    return summary.model_copy(
        update={
            "name": "n" * 64,
            "ladder": tuple(ladder),
            "gates": tuple(gates),
            "artifacts": (artifact,),
            "latency": latency,
            "classes": tuple("class" * 12 + str(index) for index in range(10)),
            "notes": ("note" * 60,),
            "machine": {"cpu": "c" * 200},
        }
    )


@pytest.fixture
def looked_at(
    browser: str, full: Summary, not_run: Summary, run_folder: Callable[[Summary], Path], tmp_path: Path
) -> tuple[str, Path]:
    """Show three runs at every width in frames of one page; return its DOM and its screenshot."""
    runs = {"full": full, "not run": not_run, "long names": with_long_names(full)}
    pages = {name: write_report(run_folder(summary)).read_text("utf-8") for name, summary in runs.items()}
    probe, picture = tmp_path / "probe.html", tmp_path / "probe.png"
    embedded = json.dumps(pages).replace("</", "<\\/")
    probe.write_text(PROBE.replace("PAGES", embedded).replace("WIDTHS", json.dumps(WIDTHS)), "utf-8")
    looks = ("--window-size=1400,900", "--dump-dom", f"--screenshot={picture}")
    command = [browser, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *looks, probe.as_uri()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    return done.stdout, picture


def test_no_screen_is_widened_and_no_label_is_covered(looked_at: tuple[str, Path]) -> None:
    dom, picture = looked_at
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    found = json.loads(html.unescape(title[1]))
    assert len(found) == 3 * len(WIDTHS)
    for item in found:
        assert item["scroll"] <= item["width"], item
        assert item["pictures"] >= 9, item
        assert item["smallest"] >= 10.5, item
        assert item["clashes"] == [], item
        assert item["outside"] == [], item
        assert item["unseen"] == [], item
    with Image.open(picture) as image:
        colours = image.convert("RGB").getcolors(maxcolors=2**20)
    assert colours is not None
    assert len(colours) > 50, "the screenshot shows a page, not an empty window"
