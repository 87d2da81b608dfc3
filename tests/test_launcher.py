from __future__ import annotations

import pytest

from edgedistill.errors import InputError
from edgedistill.launcher import VARIABLES, Launch, launch, other_than_first

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)


def launched_with(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> None:
    for name, value in (TORCHRUN | changes).items():
        if value is not None:
            monkeypatch.setenv(name, value)


def test_without_a_launcher_there_is_one_process() -> None:
    assert launch() == Launch(rank=0, count=1, local_count=1)
    assert other_than_first() == ""


def test_a_launcher_of_one_process_needs_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launch() == Launch()


def test_torchruns_variables_say_which_process_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    launched_with(monkeypatch)
    assert launch() == Launch(rank=1, count=4, local_count=2)
    assert other_than_first() == "1"


def test_the_first_of_several_has_nobody_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    launched_with(monkeypatch, RANK="0", LOCAL_WORLD_SIZE=None)
    assert launch() == Launch(rank=0, count=4, local_count=1)
    assert other_than_first() == ""


@pytest.mark.parametrize("missing", [name for name in VARIABLES if name != "WORLD_SIZE"])
def test_an_incomplete_launch_is_refused(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    launched_with(monkeypatch, **{missing: None})
    with pytest.raises(InputError, match=f"WORLD_SIZE=4 without {missing}.*or unset WORLD_SIZE"):
        launch()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"RANK": "one"}, "RANK=one"),
        ({"WORLD_SIZE": "2.5"}, r"WORLD_SIZE=2\.5"),
        ({"LOCAL_WORLD_SIZE": ""}, "LOCAL_WORLD_SIZE="),
        ({"RANK": "4"}, "RANK=4, WORLD_SIZE=4, LOCAL_WORLD_SIZE=2"),
        ({"RANK": "-1"}, "RANK=-1, WORLD_SIZE=4, LOCAL_WORLD_SIZE=2"),
        ({"WORLD_SIZE": "0", "RANK": "0"}, "RANK=0, WORLD_SIZE=0, LOCAL_WORLD_SIZE=2"),
        ({"LOCAL_WORLD_SIZE": "5"}, "RANK=1, WORLD_SIZE=4, LOCAL_WORLD_SIZE=5"),
        ({"LOCAL_WORLD_SIZE": "0"}, "RANK=1, WORLD_SIZE=4, LOCAL_WORLD_SIZE=0"),
    ],
)
def test_numbers_that_go_not_together_are_refused(
    changes: dict[str, str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched_with(monkeypatch, **changes)
    with pytest.raises(InputError, match=f"environment of the launcher: {found}; wanted"):
        launch()
