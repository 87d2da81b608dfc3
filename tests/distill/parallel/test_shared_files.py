from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from thread_group import in_threads

from edgedistill.distill.parallel import shared_files
from edgedistill.distill.parallel.group import ALONE
from edgedistill.distill.parallel.shared_files import require_shared, wait_for_files
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.distill.parallel.group import Group


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_files, "PATIENCE_S", 0.2)


def test_a_folder_that_all_see_is_left_as_it_was(tmp_path: Path) -> None:
    def run(group: Group) -> None:
        require_shared(tmp_path / "cache", group, thing="cache folder", fix="share it")

    in_threads(3, run)
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_same_path_on_two_machines_is_refused_by_all(tmp_path: Path) -> None:
    said = []

    def run(group: Group) -> None:
        own = tmp_path / f"machine-{group.rank // 2}"
        with pytest.raises(InputError) as caught:
            require_shared(own, group, thing="cache folder", fix="set `cache.folder`")
        said.append(str(caught.value))

    in_threads(3, run)
    assert len(said) == 3
    assert all("process 0 does not see there what process 2 wrote" in message for message in said)
    assert all("a file system that all processes share, under the same path" in message for message in said)
    assert all("set `cache.folder`" in message for message in said)
    assert list(tmp_path.glob("*/.seen-*")) == []


def test_one_process_leaves_no_mark(tmp_path: Path) -> None:
    require_shared(tmp_path / "cache", ALONE, thing="cache folder", fix="")
    assert not (tmp_path / "cache").exists()


def test_a_file_that_another_process_wrote_and_this_one_does_not_see_is_named(tmp_path: Path) -> None:
    (tmp_path / "there").touch()

    def run(group: Group) -> None:
        wait_for_files([tmp_path / "there"], group)
        with pytest.raises(InputError, match=rf"lacking': process {group.rank} does not see it"):
            wait_for_files([tmp_path / "there", tmp_path / "lacking"], group)

    in_threads(2, run)
    wait_for_files([tmp_path / "lacking"], ALONE)
