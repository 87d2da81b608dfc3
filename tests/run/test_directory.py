import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgedistill.errors import InputError
from edgedistill.run.directory import RunDirectory, StepRecord, key_of


def finished(folder: Path, *, key: str = "k") -> RunDirectory:
    """Return a directory in which the step "build a/b" is done."""
    directory = RunDirectory(folder)
    directory.begin("build a/b", key)
    directory.write_text("artifacts/model", "weights")
    record = StepRecord(name="build a/b", key=key, result={"n": 1}, wall_s=1.0, cpu_s=2.0)
    directory.finish(record, [folder / "artifacts/model"])
    return directory


def test_a_finished_step_is_found_under_its_key_only(tmp_path: Path) -> None:
    directory = finished(tmp_path)
    record = directory.done("build a/b", "k")
    assert record is not None
    assert record.result == {"n": 1}
    assert list(record.outputs) == ["artifacts/model"]
    assert directory.done("build a/b", "other") is None
    assert directory.done("verify a/b", "k") is None


@pytest.mark.parametrize("change", ["edit", "delete"])
def test_a_step_whose_file_was_changed_is_not_done(tmp_path: Path, change: str) -> None:
    directory = finished(tmp_path)
    if change == "edit":
        (tmp_path / "artifacts/model").write_text("other", "utf-8")
    else:
        (tmp_path / "artifacts/model").unlink()
    assert directory.done("build a/b", "k") is None


def test_a_damaged_record_counts_as_none(tmp_path: Path) -> None:
    directory = finished(tmp_path)
    (record,) = (tmp_path / "steps").iterdir()
    record.write_text(json.dumps({"name": "build a/b"}), "utf-8")
    assert directory.done("build a/b", "k") is None


def test_an_interrupted_step_keeps_its_work_and_a_new_key_drops_it(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    folder = directory.begin("distill", "k")
    (folder / "checkpoint").write_text("half", "utf-8")
    assert directory.interrupted("distill", "k")
    assert (directory.begin("distill", "k") / "checkpoint").exists()
    assert not directory.interrupted("distill", "new")
    assert not (directory.begin("distill", "new") / "checkpoint").exists()


def test_a_finished_step_leaves_no_work_behind(tmp_path: Path) -> None:
    directory = finished(tmp_path)
    assert not directory.interrupted("build a/b", "k")
    assert not directory.work_folder("build a/b").exists()


HOLDER = """
import sys
from pathlib import Path
from edgedistill.run.directory import RunDirectory
with RunDirectory(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_runs_in_one_directory_are_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="another run is using it"), RunDirectory(tmp_path).locked():
            pass
        holder.communicate()
    with RunDirectory(tmp_path).locked():
        pass


def test_keys_depend_on_values_and_not_on_their_order() -> None:
    assert key_of(a=1, b=[1, 2]) == key_of(b=[1, 2], a=1)
    assert key_of(a=1) != key_of(a=2)
    assert key_of(a="1") != key_of(a=1)
