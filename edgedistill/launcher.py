"""Which of several processes this is, as torchrun tells it. Loads no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from edgedistill.errors import InputError

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launch:
    """One process of a launch.

    Args:
        rank: 0 to count - 1; 0 writes the run directory.
        count: processes on all machines.
        local_count: processes on this machine.
    """

    rank: int = 0
    count: int = 1
    local_count: int = 1


def other_than_first() -> str:
    """Return the rank of a process that has others before it, for messages; "" of the first, or the only one."""
    alone = os.environ.get("WORLD_SIZE", "1") == "1"
    return "" if alone else os.environ.get("RANK", "0").removeprefix("0")


def launch() -> Launch:
    """Return which process this is; without a launcher the only one.

    Raises:
        InputError: the launcher's variables are incomplete, or no numbers.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return Launch()
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise _unusable(f"WORLD_SIZE={os.environ['WORLD_SIZE']} without {missing[0]}")
    count, rank = _number("WORLD_SIZE"), _number("RANK")
    local_count = _number("LOCAL_WORLD_SIZE") if "LOCAL_WORLD_SIZE" in os.environ else 1
    if not (0 <= rank < count and 1 <= local_count <= count):
        raise _unusable(f"RANK={rank}, WORLD_SIZE={count}, LOCAL_WORLD_SIZE={local_count}")
    return Launch(rank, count, local_count)


def _number(name: str) -> int:
    try:
        return int(os.environ[name])
    except ValueError:
        raise _unusable(f"{name}={os.environ[name]}") from None


def _unusable(found: str) -> InputError:
    return InputError(
        "environment of the launcher",
        found=found,
        wanted=f"{', '.join(VARIABLES)} of one launch",
        fix="start with `torchrun --nproc_per_node 2 -m edgedistill run RECIPE`, or unset WORLD_SIZE",
    )
