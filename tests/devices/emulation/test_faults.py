"""Boards that boot, reached by OpenSSH and by adb: an artifact from end to end, and what can go wrong on the way.

Every scenario runs on boards of its own, all at once; the tests look at what came of each.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from real_boards import scenarios
from small_artifact import small_artifact

from edgedistill.devices.emulation.boards import BoardChoice, Link
from edgedistill.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AT_ONCE = 5


@pytest.fixture(scope="module")
def futures(board_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Any]]]:
    """Begin every scenario; each is waited for by the test that looks at it."""
    assert board_cache.exists()
    folder = tmp_path_factory.mktemp("faults")
    artifact = small_artifact(folder / "artifact")

    def carried_out(name: str, work: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - what scenarios return
        lab = scenarios.Lab(artifact, folder / "".join(filter(str.isalnum, name)))
        try:
            return work(lab)
        finally:
            lab.close()

    ends = {
        "ssh": lambda lab: scenarios.end_to_end(lab, lab.start("a72")),
        "adb": lambda lab: scenarios.end_to_end(lab, lab.start("a53", BoardChoice("cortex-a53", Link.ADB))),
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(carried_out, name, work) for name, work in {**ends, **scenarios.SCENARIOS}.items()}


@pytest.mark.parametrize(("link", "cores"), [("ssh", "4 x Cortex-A72"), ("adb", "4 x Cortex-A53")])
def test_an_artifact_goes_from_end_to_end(futures: dict[str, Future[Any]], link: str, cores: str) -> None:
    seen = futures[link].result()
    assert seen.message == ""
    assert seen.more["identical_to_this_workstation"]
    assert (seen.more["machine"], seen.more["clusters"], seen.more["execution"]) == ("aarch64", cores, "emulated")


def test_a_connection_that_is_cut_costs_nothing(futures: dict[str, Future[Any]]) -> None:
    for name in ("connection cut in the middle", "adb server killed in the middle"):
        seen = futures[name].result()
        assert (seen.message, seen.result) == ("", "done"), name
        assert [note.partition(" for ")[0] for note in seen.notes] == ["the connection was lost"], name


def test_a_job_that_was_left_is_found_by_a_second_start(futures: dict[str, Future[Any]]) -> None:
    seen = futures["client gone, started again later"].result()
    assert "a job that runs there goes on" in seen.message
    assert (seen.result, seen.more["carried_out"]) == ("done", 1)


def test_a_reboot_begins_the_job_again_and_says_so(futures: dict[str, Future[Any]]) -> None:
    seen = futures["device reboot"].result()
    assert (seen.message, seen.result) == ("", "done")
    assert seen.notes[-1] == "the job was lost, because the device was started anew; it was begun again"


def test_a_disk_that_is_full_says_how_full_and_leaves_nothing_half(futures: dict[str, Future[Any]]) -> None:
    seen = futures["disk full when copying"].result()
    assert "its disk is full: " in seen.message
    assert "wanted 12.0 MB" in seen.message
    assert seen.more["files_left"] == 0


def test_a_disk_that_becomes_full_says_so_and_works_when_there_is_room_again(futures: dict[str, Future[Any]]) -> None:
    seen = futures["disk full in the middle"].result()
    assert "its disk became full: " in seen.message
    assert seen.result == "done"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrong host key", "its host key is not the one in known_hosts, so nothing was sent to it"),
        ("unknown host key", "its host key is not in known_hosts"),
    ],
)
def test_a_host_key_is_never_taken_on_trust(futures: dict[str, Future[Any]], name: str, words: str) -> None:
    seen = futures[name].result()
    assert words in seen.message
    assert seen.more["exit_code"] == 4


def test_what_the_doctor_says_mends_a_bare_board(futures: dict[str, Future[Any]]) -> None:
    try:
        seen = futures["missing onnxruntime"].result()
    except DependencyError as error:
        pytest.skip(f"wheels: {error}")
    assert "No module named 'numpy'" in seen.message
    assert "edgedistill devices doctor bare" in seen.message
    assert (seen.more["command_ended_with"], seen.more["message_again"]) == (0, "")
    assert seen.more["identical_to_this_workstation"]


def test_another_architecture_is_refused(futures: dict[str, Future[Any]]) -> None:
    seen = futures["wrong architecture"].result()
    assert "aarch64; wanted armv7l" in seen.message
    assert seen.more["exit_code"] == 2


def test_a_hanging_inference_is_ended_there_and_leaves_the_board_free(futures: dict[str, Future[Any]]) -> None:
    seen = futures["hanging inference"].result()
    assert "no end within 4 s; it was stopped there; its last words: inference 17" in seen.message
    assert (seen.more["processes_left"], seen.more["log"], seen.result) == (0, "inference 17", "done")


def test_a_clock_that_jumps_changes_nothing_and_is_noted(futures: dict[str, Future[Any]]) -> None:
    seen = futures["clock jumping"].result()
    assert (seen.message, seen.result) == ("", "done")
    assert len(seen.notes) == 1
    assert seen.notes[0].startswith("the device's wall clock jumped by -3153")


def test_two_users_wait_for_each_other_by_name(futures: dict[str, Future[Any]]) -> None:
    seen = futures["two users on one board"].result()
    assert (seen.message, seen.result) == ("", ["done", "done"])
    assert seen.notes[0].startswith("waited for the board, which was in use by ")
