"""The inverted set: the same after an interruption, mended where damaged, balanced, and judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.distill import synthesis
from edgedistill.distill.inversion import inverted_batch, space_of
from edgedistill.distill.synthesis import Synthesised, TeacherView, require_fit, seen_by, synthesise
from edgedistill.distill.synthesis_files import INDEX, synthesis_key
from edgedistill.errors import GateError
from edgedistill.recipe import Inversion

if TYPE_CHECKING:
    from pathlib import Path

SPACE = space_of(ImagePreprocessing(size=(4, 4), channels=1))
SETTINGS = Inversion(samples=10, batch_size=4, steps=3)
CLASSES = ("a", "b", "c")


def teacher() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)).eval()


def made(home: Path, *, count: int = 10, split: str = "train") -> Synthesised:
    return synthesise(teacher(), SPACE, classes=3, count=count, split=split, settings=SETTINGS, seed=5, home=home)


def files(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.iterdir()}


def test_classes_are_balanced_over_all_batches(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert np.bincount(found.labels).tolist() == [4, 3, 3]
    assert found.raw.shape == (10, 4, 4, 1)
    assert found.size_bytes == sum(len(content) for name, content in files(tmp_path).items() if name != INDEX)


def test_an_interrupted_set_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made(tmp_path / "whole")
    calls = []

    def killed(*args: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return inverted_batch(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(synthesis, "inverted_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "killed")
    again = made(tmp_path / "killed")
    assert len(calls) == 4  # one before, one killed, two that were missing
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert again.raw.tobytes() == whole.raw.tobytes()
    assert (again.gap_at_start, again.gap_at_end) == (whole.gap_at_start, whole.gap_at_end)


def test_a_damaged_batch_is_made_again_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = made(tmp_path)
    path = sorted(tmp_path.glob("train-*"))[1]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with (tmp_path / INDEX).open("ab") as file:
        file.write(b'{"name": "torn')
    assert made(tmp_path).raw.tobytes() == before.raw.tobytes()
    assert path.read_bytes() == content
    assert "is damaged" in caplog.text


def test_more_samples_are_more_batches(tmp_path: Path) -> None:
    first = made(tmp_path, count=8)
    assert made(tmp_path, count=12).raw[:8].tobytes() == first.raw.tobytes()


def test_the_evaluation_split_has_other_samples(tmp_path: Path) -> None:
    assert made(tmp_path, split="test").raw.tobytes() != made(tmp_path).raw.tobytes()


def test_no_batch_has_a_single_row(tmp_path: Path) -> None:
    assert len(made(tmp_path, count=9).labels) == 9
    assert len(list(tmp_path.glob("train-*"))) == 2


def test_the_key_covers_what_decides_the_samples_and_not_how_many() -> None:
    def key(**changes: object) -> str:
        return synthesis_key(teacher_fingerprint="t", settings=SETTINGS.model_copy(update=changes), rest=[1])

    assert key() == key(samples=99) == key(min_confidence=0.9)
    assert len({key(), key(steps=4), key(statistics_weight=2.0), key(jitter=0), key(batch_size=5)}) == 5


def test_what_the_teacher_says_by_hand() -> None:
    class Fixed(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return torch.log(inputs)

    rows = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]], np.float32)
    found = seen_by(Fixed(), rows, np.array([0, 2]))
    assert found.confidence == pytest.approx((0.5 + 0.8) / 2, rel=1e-6)
    entropies = -(rows * np.log(rows)).sum(1)
    assert found.entropy_nats == pytest.approx(float(entropies.mean()), rel=1e-6)
    assert found.agreement == 0.5
    assert found.counts == (1, 1, 0)
    assert found.least_share == 0


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (TeacherView(0.49, 1.2, 1.0, (5, 5, 5)), r"0\.490.*at least 0\.5 .*min_confidence.*steps"),
        (TeacherView(0.9, 0.2, 1.0, (9, 5, 1)), r"'c' is the answer for 1 of 15, 0\.20 .*min_class_share"),
    ],
)
def test_samples_that_are_not_fit_are_refused_with_numbers_and_a_fix(
    tmp_path: Path, view: TeacherView, message: str
) -> None:
    with pytest.raises(GateError, match=message) as caught:
        require_fit(view, SETTINGS, classes=CLASSES, folder=tmp_path)
    assert caught.value.exit_code == 3
    assert str(tmp_path) in str(caught.value)


def test_fit_samples_pass(tmp_path: Path) -> None:
    require_fit(TeacherView(0.5, 1.0, 1.0, (10, 5, 15)), SETTINGS, classes=CLASSES, folder=tmp_path)
