"""What verbs print on standard output: text, or one JSON document; all else goes to standard error."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence

import typer


def say(text: str) -> None:
    """Print a line of the result."""
    typer.echo(text)


def document(value: object) -> None:
    """Print the result as one JSON document."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns: drawn and wrapped on a terminal, aligned and one line per row elsewhere."""
    if sys.stdout.isatty():
        _drawn(headers, rows)
    else:
        _aligned(headers, rows)


def _drawn(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD)
    for header in headers:
        drawn.add_column(header, overflow="fold")  # a long name goes on below; cut, it could not be copied
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))  # Text, because "[x]" in a cell is no markup
    Console().print(drawn)


def _aligned(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    for row in (headers, *rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def facts(values: Mapping[str, object]) -> None:
    """Print names and values in two columns, indented; a mapping inside shows as `outer.inner`."""
    flat = dict(_flattened(values, prefix=""))
    width = max(map(len, flat), default=0)
    for name, value in flat.items():
        say(f"  {name.ljust(width)}  {value}".rstrip())


def _flattened(values: Mapping[str, object], *, prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, prefix=f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{name}", ", ".join(str(item) for item in value)
        else:
            yield f"{prefix}{name}", str(value)
