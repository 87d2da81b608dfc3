from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import torch

from edgedistill.distill.checkpoint import TrainingState, load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from pathlib import Path


def state() -> TrainingState:
    return TrainingState(
        step=7,
        loss_sum=0.35,
        loss_count=2,
        points=[(1.0, 0.5, None, 0.1), (2.0, 0.25, 0.875, 0.05)],
        model={"weight": torch.tensor([1.5, -2.0]), "count": torch.tensor(3)},
        extra={},
        optimizer={"state": {0: {"momentum_buffer": torch.tensor([0.5])}}, "param_groups": [{"lr": 0.1}]},
        average={},
    )


def test_a_state_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "here" / "checkpoint"
    save_checkpoint(path, state(), key="k")
    loaded = load_checkpoint(path, key="k")
    assert loaded is not None
    assert torch.equal(loaded["model"]["weight"], state()["model"]["weight"])
    assert loaded["optimizer"]["state"][0]["momentum_buffer"].item() == 0.5
    assert (loaded["step"], loaded["loss_sum"], loaded["points"]) == (7, 0.35, state()["points"])


def test_no_file_is_no_state_and_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_checkpoint(tmp_path / "checkpoint", key="k") is None
    assert not caplog.records


def test_one_of_another_training_is_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_checkpoint(tmp_path / "checkpoint", state(), key="k")
    assert load_checkpoint(tmp_path / "checkpoint", key="l") is None
    assert "of another training" in caplog.text


@pytest.mark.parametrize(
    "damage", [lambda old: old[:-1], lambda _: b"", lambda old: old[:40], lambda old: old[:-9] + b"X" * 9]
)
def test_a_damaged_one_is_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object) -> None:
    path = tmp_path / "checkpoint"
    save_checkpoint(path, state(), key="k")
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert load_checkpoint(path, key="k") is None
    assert "is damaged" in caplog.text
