"""Files of texts: JSON lines and tables, as other tools write them, and as nobody should."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edgedistill.data import text_file
from edgedistill.data.text_rows import TextRow
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, "utf-8")
    return path


def test_json_lines(tmp_path: Path) -> None:
    rows = [
        {"text": "a\u2028b", "label": "yes", "split": "test", "other": [1]},
        {"text": "c", "label": 3},
        {"text": "d", "label": None, "teacher": {"yes": -0.1, "no": -2.4}},
        {"text": "e", "teacher": "no"},
    ]
    path = written(tmp_path, "x.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n")
    assert text_file.read(path) == [
        TextRow("a\u2028b", "yes", None, "test"),
        TextRow("c", "3"),
        TextRow("d", None, {"yes": -0.1, "no": -2.4}),
        TextRow("e", None, {"no": 0.0}),
    ]


@pytest.mark.parametrize(("name", "separator"), [("x.csv", ","), ("x.tsv", "\t")])
def test_tables(tmp_path: Path, name: str, separator: str) -> None:
    lines = [("label", "text", "split"), ("yes", '"a ""b"""', "train"), ("", "c", "")]
    path = written(tmp_path, name, "\r\n".join(separator.join(line) for line in lines) + "\r\n")
    assert text_file.read(path) == [TextRow('a "b"', "yes", None, "train"), TextRow("c")]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert text_file.read(written(tmp_path, "x.csv", "\ufefftext,label\na,b\n")) == [TextRow("a", "b")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", '{"text": "a"}\n{"label": "b"}\n', r"line 2: text None"),
        ("x.jsonl", "{", r"line 1: no JSON"),
        ("x.jsonl", "[" * 100_000, r"line 1: no JSON"),
        ("x.jsonl", "3", r"line 1: a int"),
        ("x.jsonl", '{"text": 3}', r"text 3; wanted a text"),
        ("x.jsonl", '{"text": "a", "label": true}', r"label: True"),
        ("x.jsonl", '{"text": "a", "split": "dev"}', r"split 'dev'"),
        ("x.jsonl", '{"text": "a", "teacher": {"yes": 0.5}}', r"0\.5 for 'yes'"),
        ("x.jsonl", '{"text": "a", "teacher": {"yes": -Infinity}}', r"log probability"),
        ("x.jsonl", '{"text": "a", "teacher": {"yes": NaN}}', r"log probability"),
        ("x.jsonl", '{"text": "a", "teacher": {}}', r"no class"),
        ("x.csv", "txt,label\na,b\n", r"did you mean 'txt'"),
        ("x.csv", "", r"no column 'text'"),
        ("x.csv", 'text\n"a', r"no table"),
        ("x.txt", "a", r"\.jsonl, \.csv or \.tsv"),
    ],
)
def test_another_form_is_refused_with_its_place(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        text_file.read(written(tmp_path, name, content))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"text\n\xff\xfe\n")
    with pytest.raises(DataError, match="no UTF-8"):
        text_file.read(tmp_path / "x.csv")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for use in (text_file.read, text_file.fingerprint):
        with pytest.raises(DataError, match="No such file"):
            use(tmp_path / "none.csv")
