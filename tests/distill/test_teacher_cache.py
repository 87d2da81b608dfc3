from __future__ import annotations

import hashlib
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgedistill.distill import cache_files, teacher_cache
from edgedistill.distill.cache_files import Storage
from edgedistill.distill.teacher_cache import READ_AHEAD, open_soft_targets, teach
from edgedistill.errors import EdgeDistillError, ModelError, ResourceError
from edgedistill.recipe import StoredFeatures

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.distill.conftest import NoiseSet, Recorder, SmallNet

    Sets = Callable[..., NoiseSet]
    Nets = Callable[..., SmallNet]

COUNT, VIEWS, LAYERS = 1300, 2, ("stages.0", "head")


class InterruptedAtWillError(Exception):
    pass


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def taught(noise_set: Sets, small_net: Nets, tmp_path: Path) -> Callable[..., object]:
    """Return teach() on 1,300 samples and two views, with what a test does not care for filled in."""
    transfer_set, teacher = noise_set(COUNT, view_count=3), small_net(5)

    def teach_here(folder: str = "cache", **options: object) -> object:
        settings = {"key": "k", "folder": tmp_path / folder, "views_needed": VIEWS, "layers": LAYERS}
        return teach(teacher, transfer_set, **{**settings, **options})

    teach_here.transfer_set, teach_here.teacher = transfer_set, teacher
    return teach_here


def test_rows_are_what_the_teacher_says_in_evaluation_mode(taught: Callable[..., object]) -> None:
    taught.teacher.train()
    soft_targets = taught()
    indices = np.array([1299, 3, 1024, 3, 700])
    for view in range(VIEWS):
        outputs = soft_targets.rows(indices, view)
        inputs = torch.from_numpy(taught.transfer_set.batch(indices, view=view).inputs)
        taught.teacher.eval()
        with torch.no_grad():
            logits = taught.teacher(inputs)
            features = taught.teacher.stages[0](taught.teacher.stem(inputs))
        taught.teacher.train()
        half = 2.0**-11  # float16 has 11 bits
        torch.testing.assert_close(outputs.logits, logits, rtol=half, atol=1e-6)
        torch.testing.assert_close(outputs.features["head"], logits, rtol=half, atol=1e-6)
        torch.testing.assert_close(outputs.features["stages.0"], features, rtol=half, atol=1e-6)
        assert outputs.logits.dtype == torch.float32
    assert soft_targets.shapes == cache_files.OutputShapes(3, {"head": (3,), "stages.0": (5, 6, 6)})
    assert soft_targets.served_rows == 10
    assert taught.teacher.training


def test_only_the_views_that_are_used_are_labelled(taught: Callable[..., object]) -> None:
    soft_targets = taught()
    assert set(taught.transfer_set.batches) == {0, 1}
    with pytest.raises(
        EdgeDistillError, match="view 2 of the teacher's outputs: not labelled; wanted 0 to 1"
    ) as caught:
        soft_targets.rows([0], 2)
    assert caught.value.exit_code == 1


def test_a_second_time_everything_is_found_and_more_views_extend_it(
    taught: Callable[..., object], recorder: Recorder
) -> None:
    assert taught().hit_rate == 0
    taught.transfer_set.batches.clear()
    again = taught(progress=recorder)
    assert again.hit_rate == 1
    assert not taught.transfer_set.batches
    assert (recorder.steps, recorder.total) == (COUNT * VIEWS, COUNT * VIEWS)
    assert taught(views_needed=3).hit_rate == pytest.approx(2 / 3)
    assert set(taught.transfer_set.batches) == {2}


def test_it_opens_without_the_teacher_only_when_complete(taught: Callable[..., object], tmp_path: Path) -> None:
    options = {"key": "k", "folder": tmp_path / "cache", "samples": COUNT}
    assert open_soft_targets(views_needed=1, **options) is None
    made = taught()
    opened = open_soft_targets(views_needed=2, **options)
    assert torch.equal(opened.rows([5], 1).logits, made.rows([5], 1).logits)
    assert opened.hit_rate == 1
    assert open_soft_targets(views_needed=3, **options) is None


@pytest.mark.parametrize("stop_at", [1, 6, 9, 13, 17, 22])
def test_interrupted_and_resumed_it_is_the_same_byte_for_byte(
    taught: Callable[..., object], recorder: Recorder, tmp_path: Path, stop_at: int
) -> None:
    taught("whole")

    def stop() -> None:
        if len(recorder.notes) == stop_at:
            raise InterruptedAtWillError

    recorder.on_advance = stop
    with pytest.raises(InterruptedAtWillError):
        taught("stopped", progress=recorder)
    done = len(cache_files.listed_shards(tmp_path / "stopped" / "k"))
    assert not taught.teacher.stages[0]._forward_hooks
    resumed = taught("stopped")
    rows = [shard.rows for shard in cache_files.shards_of(samples=COUNT, views=VIEWS)]
    assert resumed.computed_rows == sum(rows[done:])
    assert hashes(tmp_path / "stopped") == hashes(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "index"])
def test_a_damaged_shard_is_made_again_alone_with_a_warning(
    taught: Callable[..., object], tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    taught()
    home = tmp_path / "cache" / "k"
    before = hashes(home)
    shard = cache_files.Shard(1, 0, 1024)
    path = home / (cache_files.INDEX if damage == "index" else shard.name)
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content[:-7] if damage in ("cut", "index") else content)
    again = taught()
    assert again.computed_rows == (1300 - 1024 if damage == "index" else 1024)
    after = hashes(home)
    assert {name for name in before if before[name] != after[name]} == {cache_files.INDEX}
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
    assert taught().hit_rate == 1


def test_size_is_predicted_within_a_percent(taught: Callable[..., object], tmp_path: Path) -> None:
    shapes = taught().shapes
    found = sum(path.stat().st_size for path in (tmp_path / "cache" / "k").rglob("*.safetensors"))
    predicted = cache_files.predicted_bytes(shapes, samples=COUNT, views=VIEWS)
    assert predicted == pytest.approx(found, rel=0.01)


def test_too_large_a_cache_is_refused_before_any_work(
    taught: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ResourceError, match=r"teacher outputs: 0.000968 GB; wanted at most 0.0009 GB"):
        taught(max_gb=0.0009)
    usage = namedtuple("Usage", "free")  # noqa: PYI024 - stands for shutil's own named tuple
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(900_000))
    with pytest.raises(ResourceError, match=r"disk space .*0.0009 GB free; wanted 0.000968 GB"):
        taught()
    assert not (tmp_path / "cache").exists()
    monkeypatch.undo()
    taught()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0))
    assert taught().hit_rate == 1  # nothing is missing, so no room is needed


def test_a_teacher_that_does_not_fit_is_refused(
    taught: Callable[..., object], noise_set: Sets, small_net: Nets, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"layer 'stages\.9': not in the teacher"):
        taught(layers=["stages.9"])
    with pytest.raises(ModelError, match="teacher: 7 classes; wanted 3, as the data has"):
        teach(small_net(classes=7), noise_set(9, view_count=1), key="k", folder=tmp_path, views_needed=1)
    taught.teacher.head.bias.data[0] = float("nan")
    with pytest.raises(ModelError, match="its logits are not finite"):
        taught(layers=[])


def test_what_killed_runs_left_is_removed_unless_it_is_young(taught: Callable[..., object], tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "k" / "view-0000"
    folder.mkdir(parents=True)
    for name in (".old.1.tmp", ".young.2.tmp"):
        (folder / name).touch()
    os.utime(folder / ".old.1.tmp", (0, 0))
    taught()
    assert [path.name for path in folder.glob(".*")] == [".young.2.tmp"]


def test_mapped_shards_keep_no_file_open(taught: Callable[..., object]) -> None:
    open_files = Path("/proc/self/fd")
    if not open_files.exists():
        pytest.skip("open files can be listed on Linux only")
    soft_targets = taught()
    soft_targets.rows(range(COUNT), 0)
    soft_targets.rows(range(COUNT), 1)
    mapped = list(open_files.iterdir())
    assert not [path for path in mapped if path.is_symlink() and "safetensors" in str(path.readlink())]


def test_the_largest_logits_and_int8_features_come_back_and_say_what_they_lost(
    noise_set: Sets, small_net: Nets, tmp_path: Path
) -> None:
    transfer_set, teacher = noise_set(1100, view_count=1), small_net(5)
    options = {"views_needed": 1, "layers": LAYERS, "folder": tmp_path}
    whole = teach(teacher, transfer_set, key="whole", **options)
    storage = Storage(top_k=1, temperature=2.0, features=StoredFeatures.INT8)
    kept = teach(teacher, transfer_set, key="kept", storage=storage, **options)
    rows = np.array([1099, 0, 5, 1024])
    full, found = whole.rows(rows, 0), kept.rows(rows, 0)
    assert kept.shapes == whole.shapes
    chosen = full.logits.argmax(1)
    at = torch.arange(4)
    assert torch.equal(found.logits[at, chosen], full.logits[at, chosen])
    for outputs in (full, found):
        assert outputs.logits.shape == (4, 3)
    soft_full, soft_found = (torch.softmax(outputs.logits / 2, 1)[at, chosen] for outputs in (full, found))
    torch.testing.assert_close(soft_found, soft_full, rtol=2.0**-10, atol=0)
    difference = found.features["stages.0"] - full.features["stages.0"]
    relative = float(difference.square().mean().sqrt() / full.features["stages.0"].square().mean().sqrt())
    assert 0 < relative < 2 * kept.errors["features/stages.0"] < 0.02
    assert 0 < kept.errors["logits"] < 0.5
    assert whole.errors == {}
    assert open_soft_targets(key="kept", folder=tmp_path, samples=1100, views_needed=1).errors == kept.errors
    size = sum(path.stat().st_size for path in (tmp_path / "kept").rglob("*.safetensors"))
    predicted = cache_files.predicted_bytes(kept.shapes, samples=1100, views=1, storage=storage)
    assert abs(predicted - size) < max(0.01 * size, 2 * 1000)


def test_interrupted_top_logits_are_the_same_byte_for_byte(
    taught: Callable[..., object], recorder: Recorder, tmp_path: Path
) -> None:
    options = {"storage": Storage(top_k=1, features=StoredFeatures.INT8)}
    taught("whole", **options)

    def stop() -> None:
        if len(recorder.notes) == 13:
            raise InterruptedAtWillError

    recorder.on_advance = stop
    with pytest.raises(InterruptedAtWillError):
        taught("stopped", progress=recorder, **options)
    taught("stopped", **options)
    assert hashes(tmp_path / "stopped") == hashes(tmp_path / "whole")


def test_progress_says_what_was_found_and_what_will_be_written(
    taught: Callable[..., object], recorder: Recorder
) -> None:
    taught(progress=recorder)
    assert recorder.notes[0] == "0 % found · 967 kB to write"
    assert recorder.notes[-1] == "view 2/2 · 0 % found · 967 kB to write"
    recorder.notes.clear()
    taught(progress=recorder)
    assert recorder.notes == ["100 % found"]
    recorder.notes.clear()
    taught(progress=recorder, views_needed=3)
    assert recorder.notes[-1] == "view 3/3 · 67 % found · 484 kB to write"


@pytest.mark.parametrize("limit", [0, 2**40])
def test_rows_read_ahead_or_mapped_are_the_same(
    taught: Callable[..., object], monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    wanted = taught()
    indices = np.array([1299, 3, 1024, 3])
    outputs = wanted.rows(indices, 1)
    monkeypatch.setattr(teacher_cache, "WHOLE_VIEW_BYTES", limit)
    found = taught()
    for view in range(VIEWS):
        for _ in range(READ_AHEAD):
            found.read_ahead(indices, view)
            found.read_ahead(indices[:2], view)
    assert len(found._ahead) == 4
    again = found.rows(indices, 1)
    assert len(found._ahead) == 3
    assert torch.equal(again.logits, outputs.logits)
    assert torch.equal(again.features["stages.0"], outputs.features["stages.0"])
    for count in range(1, 2 * READ_AHEAD):
        found.read_ahead(indices[:1].repeat(count), 0)
    assert len(found._ahead) == READ_AHEAD
    with pytest.raises(EdgeDistillError, match="view 2 of the teacher's outputs: not labelled"):
        found.read_ahead(indices, 2)
