"""Real emulated boards, built once in the cache and shared by the tests of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedistill.cache import cache_folder
from edgedistill.devices.arm_environment import environment_state
from edgedistill.devices.emulation import boards
from edgedistill.devices.emulation.boards import BoardChoice, EmulatedBoard, Link
from edgedistill.devices.emulation.root import ensure_root
from edgedistill.errors import EdgeDistillError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., EmulatedBoard]


@pytest.fixture(scope="session")
def board_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder whose boards are the tests' own, and whose parts are this machine's."""
    state = environment_state()
    if not state.ready:
        pytest.skip(f"emulated board: {state.reason}")
    try:
        boards.check_machine()
        ensure_root()
    except EdgeDistillError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("cache")
    (folder / "arm64").symlink_to(cache_folder() / "arm64")
    return folder


@pytest.fixture(scope="session")
def start(board_cache: Path) -> Iterator[Start]:
    """Start boards that end with the session."""

    def started(name: str, choice: BoardChoice | None = None) -> EmulatedBoard:
        return boards.start(choice or BoardChoice("cortex-a72"), name=name, cache=board_cache)

    yield started
    for board in boards.boards(cache=board_cache):
        boards.stop(board.name, cache=board_cache, remove=True)


@pytest.fixture(scope="session")
def ssh_board(start: Start) -> EmulatedBoard:
    """A Cortex-A72 reached by SSH."""
    return start("a72")


@pytest.fixture(scope="session")
def adb_board(start: Start) -> EmulatedBoard:
    """A Cortex-A53 reached by adb."""
    return start("a53-adb", BoardChoice("cortex-a53", Link.ADB))
