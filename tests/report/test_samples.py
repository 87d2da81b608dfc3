"""Raw latency samples: read as milliseconds, refused when they are anything else."""

import json
from pathlib import Path

import pytest

from edgedistill.errors import DataError, UnsafeFileError
from edgedistill.report import samples


def test_processes_in_milliseconds(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[[1000000, 2500000], [3000000]]", "utf-8")
    first, second = samples.samples_from_file(tmp_path, "a.json")
    assert first.tolist() == [1.0, 2.5]
    assert second.tolist() == [3.0]


@pytest.mark.parametrize(
    "document",
    [[], {}, "text", [[]], [[1, 0]], [[1, -5]], [[1.5]], [["1"]], [[[1]]], [1, 2], [[1, [2]]], [[True]], [[2**70]]],
)
def test_anything_but_positive_whole_numbers_is_refused(tmp_path: Path, document: object) -> None:
    (tmp_path / "a.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(DataError, match=r"'a\.json'.*cannot be read.*wanted a JSON list"):
        samples.samples_from_file(tmp_path, "a.json")


@pytest.mark.parametrize("content", [b"[[1, 2", b"\xff\xfe"])
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        samples.samples_from_file(tmp_path, "a.json")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist.*run the bench stage again"):
        samples.samples_from_file(tmp_path, "a.json")


def test_no_file_outside_the_run_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "a.json").write_text("[[1]]", "utf-8")
    (tmp_path / "run" / "link.json").symlink_to(tmp_path / "a.json")
    for name in ("../a.json", str(tmp_path / "a.json"), "link.json"):
        with pytest.raises(UnsafeFileError, match="out of the run directory"):
            samples.samples_from_file(tmp_path / "run", name)


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MAX_BYTES", 4)
    (tmp_path / "a.json").write_text("[[1]]", "utf-8")
    with pytest.raises(UnsafeFileError, match="5 bytes"):
        samples.samples_from_file(tmp_path, "a.json")
