from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.parallel import group as group_module
from edgedistill.distill.parallel.group import ALONE, Group, joined
from edgedistill.errors import InputError
from edgedistill.launcher import Launch


@given(st.integers(1, 300), st.integers(1, 9))
def test_shares_follow_each_other_and_differ_by_one_row_at_most(rows: int, count: int) -> None:
    shares = [Group(rank=rank, count=count).share(rows) for rank in range(count)]
    if rows < count:
        assert shares == [slice(0, rows)] * count
        return
    assert [row for share in shares for row in range(rows)[share]] == list(range(rows))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert sizes[0] == max(sizes)  # what others' shares are filled up to before they are sent


def test_one_process_changes_nothing() -> None:
    tensor = torch.tensor([1.0, 2.0])
    ALONE.add(tensor)
    ALONE.copy_from_first(tensor)
    assert tensor.tolist() == [1.0, 2.0]
    assert ALONE.rows_of_all(tensor, 2) is tensor
    assert (ALONE.from_first("a"), ALONE.from_all("a"), ALONE.is_first) == ("a", ["a"], True)
    with joined(Launch()) as group:
        assert group is ALONE


@pytest.mark.parametrize("text", ["soon", "0", "-3", "1e9", "nan"])
def test_a_timeout_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(group_module.TIMEOUT_VARIABLE, text)
    with pytest.raises(InputError, match=r"EDGEDISTILL_STEP_TIMEOUT_S: found|wanted seconds, 1 to 86400"):
        group_module._step_timeout_s()


def test_processes_that_do_not_find_each_other_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(group_module, "JOIN_TIMEOUT_S", 1.0)
    with (
        pytest.raises(InputError, match=r"process 1 of 2: it did not find the others at 127\.0\.0\.1:9"),
        joined(Launch(1, 2, 2)),
    ):
        pass
