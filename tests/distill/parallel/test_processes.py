"""Real processes over gloo: what they train is what one trains, and one that dies is named."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = Path(__file__).parents[2] / "support" / "shared_work.py"
ROUNDING = {"rtol": 1e-9, "atol": 1e-11}  # of float64 sums in another order, over 23 steps


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def work(folder: Path, *, count: int, kill: str = "", timeout_s: float = 600) -> list[subprocess.CompletedProcess[str]]:
    """Run the script as several processes; return how each ended. `kill` is "RANK:STEP:SIGNAL"."""
    folder.mkdir(exist_ok=True)
    shared = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1"}
    shared |= {"MASTER_PORT": str(free_port()), "KILL": kill, "EDGEDISTILL_STEP_TIMEOUT_S": str(timeout_s)}
    command = [sys.executable, str(SCRIPT), str(folder)]
    environments = [os.environ | shared | {"RANK": str(rank)} for rank in range(count)]
    piped = subprocess.PIPE
    started = [subprocess.Popen(command, env=own, stderr=piped, stdout=piped, text=True) for own in environments]
    told = []
    try:
        for place, process in enumerate(started):
            if place and kill.endswith("SIGSTOP"):
                process.kill()  # it would never end
            told.append(process.communicate(timeout=90))
    finally:
        for process in started:
            process.kill()
            process.communicate()
    return [
        subprocess.CompletedProcess(command, process.returncode, out, err)
        for process, (out, err) in zip(started, told, strict=True)
    ]


def ends(folder: Path, *, count: int) -> list[dict[str, dict[str, torch.Tensor]]]:
    return [torch.load(folder / f"end-{rank}-of-{count}.pt") for rank in range(count)]


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("cache/k/*/rows-*"))}


def assert_all_ended_well(ended: Sequence[subprocess.CompletedProcess[str]]) -> None:
    assert [process.stderr for process in ended if process.returncode] == []


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    assert_all_ended_well(work(folder, count=1))
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    assert_all_ended_well(work(folder, count=2))
    return folder


def test_two_processes_train_what_one_trains(one: Path, two: Path) -> None:
    (expected,) = ends(one, count=1)
    first, second = ends(two, count=2)
    torch.testing.assert_close(first, expected, **ROUNDING)
    torch.testing.assert_close(second, first, rtol=0, atol=0)


def test_two_processes_label_what_one_labels(one: Path, two: Path) -> None:
    assert len(shards(one)) == 3
    assert shards(two) == shards(one)
    assert (two / "labelled-by-0").read_text("utf-8").split() == ["0", "2048"]
    assert (two / "labelled-by-1").read_text("utf-8").split() == ["1024"]


def test_a_killed_process_is_named_and_the_run_goes_on_to_the_same_bits(two: Path, tmp_path: Path) -> None:
    first, second = work(tmp_path, count=2, kill="1:9:SIGKILL")
    assert second.returncode == -signal.SIGKILL
    assert first.returncode == 4
    assert "run with 2 processes: process 1 (counted from 0) is gone: killed, out of memory" in first.stderr
    assert "the same command goes on from the last checkpoint" in first.stderr
    assert_all_ended_well(work(tmp_path, count=2))
    assert (tmp_path / "steps-0").read_text("utf-8").split()[-2:] == ["9", "22"]  # where it began, and its last
    torch.testing.assert_close(ends(tmp_path, count=2), ends(two, count=2), rtol=0, atol=0)


def test_a_run_goes_on_with_another_number_of_processes(one: Path, tmp_path: Path) -> None:
    (expected,) = ends(one, count=1)
    for place, (before, after) in enumerate([(1, 2), (2, 1)]):
        folder = tmp_path / str(place)
        work(folder, count=before, kill="0:12:SIGKILL")
        assert_all_ended_well(work(folder, count=after))
        assert (folder / "steps-0").read_text("utf-8").split()[-2:] == ["12", "22"]
        torch.testing.assert_close(ends(folder, count=after)[0], expected, **ROUNDING)


def test_a_process_that_answers_no_more_is_named_after_the_timeout(tmp_path: Path) -> None:
    first, _second = work(tmp_path, count=2, kill="1:3:SIGSTOP", timeout_s=2)
    assert first.returncode == 4
    assert "process 1 (counted from 0) is gone" in first.stderr


def test_an_error_of_one_process_is_told_by_the_other(tmp_path: Path) -> None:
    first, second = work(tmp_path, count=2, kill="1:3:error")
    assert (first.returncode, second.returncode) == (2, 2)
    assert "process 1 of the run: it ended with: disk: full" in first.stderr
