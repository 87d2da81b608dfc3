"""A small surface for inline SVG, styled by the page's own CSS, so that pictures follow light and dark."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Point = tuple[float, float]


class Drawing:
    """An SVG picture that grows shape by shape. Every text is escaped; templates embed it as it is.

    Args:
        width: in CSS pixels.
        height: in CSS pixels.
        title: what a screen reader says instead of the picture.
    """

    def __init__(self, width: float, height: float, *, title: str) -> None:
        self.width, self.height = width, height
        self._head = (
            f'<svg viewBox="0 0 {_number(width)} {_number(height)}" width="{_number(width)}" '
            f'height="{_number(height)}" role="img" aria-label="{escape(title)}">'
        )
        self._shapes: list[str] = []

    def line(self, start: Point, end: Point, style: str) -> None:
        """Add a straight line."""
        self._add("line", style, {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]})

    def rectangle(self, corner: Point, width: float, height: float, style: str) -> None:
        """Add a rectangle from its upper left corner."""
        self._add("rect", style, {"x": corner[0], "y": corner[1], "width": width, "height": height})

    def circle(self, centre: Point, radius: float, style: str) -> None:
        """Add a circle."""
        self._add("circle", style, {"cx": centre[0], "cy": centre[1], "r": radius})

    def polyline(self, points: Iterable[Point], style: str) -> None:
        """Add an open line through points; a closed shape is a polyline that `style` fills."""
        path = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        self._shapes.append(f'<polyline class="{escape(style)}" points="{path}"/>')

    def text(self, place: Point, text: str, style: str) -> None:
        """Add a line of text; `style` says its size, and by `middle` or `end` where `place` is in it."""
        x, y = place
        self._shapes.append(f'<text class="{escape(style)}" x="{_number(x)}" y="{_number(y)}">{escape(text)}</text>')

    def _add(self, shape: str, style: str, geometry: Mapping[str, float]) -> None:
        attributes = " ".join(f'{name}="{_number(value)}"' for name, value in geometry.items())
        self._shapes.append(f'<{shape} class="{escape(style)}" {attributes}/>')

    def __html__(self) -> str:
        """Return the SVG element; the template engine takes an object with this method as safe markup."""
        return self._head + "".join(self._shapes) + "</svg>"


def _number(value: float) -> str:
    """Return a pixel with at most one decimal: more would only make the page larger."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
