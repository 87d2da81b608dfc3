"""The SVG surface: well-formed, escaped, small."""

from xml.etree import ElementTree as ET

from edgedistill.report.drawing import Drawing

HOSTILE = '</text><script>alert(1)</script>"&'


def test_every_text_is_escaped() -> None:
    drawing = Drawing(100, 50, title=HOSTILE)
    drawing.text((1, 2), HOSTILE, HOSTILE)
    drawing.line((0, 0), (1, 1), HOSTILE)
    root = ET.fromstring(drawing.__html__())  # noqa: S314 - our own picture
    assert [element.tag for element in root.iter()] == ["svg", "text", "line"]
    assert root.get("aria-label") == root[0].text == root[0].get("class") == HOSTILE


def test_shapes() -> None:
    drawing = Drawing(100, 50.25, title="")
    drawing.rectangle((1.04, 2.06), 3, 4, "band")
    drawing.circle((-0.01, 2), 5.5, "dot")
    drawing.polyline([(0, 0), (1.25, 3)], "curve")
    root = ET.fromstring(drawing.__html__())  # noqa: S314 - our own picture
    assert root.get("viewBox") == "0 0 100 50.2"
    assert root[0].attrib == {"class": "band", "x": "1", "y": "2.1", "width": "3", "height": "4"}
    assert root[1].attrib == {"class": "dot", "cx": "0", "cy": "2", "r": "5.5"}
    assert root[2].get("points") == "0,0 1.2,3"
