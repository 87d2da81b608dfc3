"""Measurements that a summary names: read where they belong, refused elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedistill.errors import DataError, UnsafeFileError
from edgedistill.report import samples
from edgedistill.report.samples import measurement_in_run, steady_ms

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedistill.run.summary import Summary

NAME = "bench/student-fp32.json"


def test_a_measurement_is_read_with_its_steady_samples(full: Summary, run_folder: Callable[[Summary], Path]) -> None:
    found = measurement_in_run(run_folder(full), NAME)
    parts = steady_ms(found)
    assert [part.shape for part in parts] == [(500,), (500,), (500,)]
    assert np.median(np.concatenate(parts)) == pytest.approx(found.analysis.p50_ms, rel=1e-12)


def test_a_file_that_is_no_measurement_is_refused(full: Summary, run_folder: Callable[[Summary], Path]) -> None:
    folder = run_folder(full)
    (folder / NAME).write_text("[1, 2]")
    with pytest.raises(DataError, match="cannot be read"):
        measurement_in_run(folder, NAME)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist.*run the bench stage again"):
        measurement_in_run(tmp_path, "a.json")


@pytest.mark.parametrize("name", ["../outside.json", "/etc/hostname", "inner/../../outside.json"])
def test_no_path_leaves_the_run_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "outside.json").write_text("{}")
    with pytest.raises(UnsafeFileError, match="a path out of the run directory"):
        measurement_in_run(tmp_path / "run", name)


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text("{}" + " " * 100)
    monkeypatch.setattr(samples, "MAX_BYTES", 50)
    with pytest.raises(UnsafeFileError, match="102 bytes; wanted at most 50"):
        measurement_in_run(tmp_path, "a.json")
