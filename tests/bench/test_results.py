"""The results folder only grows; a run directory keeps what its artifacts gave on devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgedistill.bench.analysis import measurement_from_recording
from edgedistill.bench.measurement import rehearsal_of
from edgedistill.bench.reading import recording_from_document
from edgedistill.bench.results import keep, measurements_in, results_folder, run_folder_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedistill.bench.measurement import Measurement


@pytest.fixture
def measurement(document_of: Callable[..., dict[str, object]]) -> Measurement:
    return measurement_from_recording(recording_from_document(document_of([1_000_000] * 50), thing="it"))


def test_what_is_kept_twice_is_there_once_and_never_changed(measurement: Measurement, tmp_path: Path) -> None:
    path = keep(measurement, tmp_path)
    assert path == tmp_path / "2026-11" / f"small-ssh-pi-desk-{measurement.id}.json"
    before = (path.stat().st_mtime_ns, path.read_bytes())
    assert keep(measurement, tmp_path) == path
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    assert [found for _, found in measurements_in(tmp_path)] == [measurement]
    assert [item.name for item in path.parent.iterdir()] == [path.name], "nothing partial is left"


def test_a_rehearsal_is_kept_and_is_no_measurement(
    document_of: Callable[..., dict[str, object]], tmp_path: Path
) -> None:
    document = document_of()
    document["device"] = {**document["device"], "execution": "emulated"}
    path = keep(rehearsal_of(recording_from_document(document, thing="it")), tmp_path)
    assert path.name.startswith("rehearsal-small")
    assert list(measurements_in(tmp_path)) == []


def test_the_folder_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEDISTILL_RESULTS", str(tmp_path))
    assert results_folder() == tmp_path
    monkeypatch.delenv("EDGEDISTILL_RESULTS")
    assert results_folder() == Path.home() / ".local/share/edgedistill/results"


def test_an_artifact_knows_its_run(tmp_path: Path) -> None:
    artifact = tmp_path / "run" / "artifacts" / "arm-pi"
    artifact.mkdir(parents=True)
    assert run_folder_of(artifact) is None
    (tmp_path / "run" / "summary.json").write_text("{}")
    assert run_folder_of(artifact) == tmp_path / "run"
    assert run_folder_of(tmp_path / "run") is None
