from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
from typing import TYPE_CHECKING

from edgedistill.distill.cache_files import (
    OutputShapes,
    Shard,
    Sizes,
    Storage,
    bytes_text,
    kept_logits,
    list_shard,
    listed_errors,
    listed_shards,
    predicted_bytes,
    predicted_sizes,
    shards_of,
    soft_targets_key,
    valid_shards,
)
from edgedistill.recipe import StoredFeatures

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SHARDS = shards_of(samples=1500, views=2)


def write(home: Path, shard: Shard, content: bytes) -> None:
    (home / shard.name).parent.mkdir(parents=True, exist_ok=True)
    (home / shard.name).write_bytes(content)
    list_shard(home, shard, sha256=hashlib.sha256(content).hexdigest())


def test_shards_cover_every_row_of_every_view() -> None:
    wanted = [Shard(0, 0, 1024), Shard(0, 1024, 476), Shard(1, 0, 1024), Shard(1, 1024, 476)]
    assert shards_of(samples=1500, views=2) == wanted
    assert SHARDS[3].name == "view-0001/rows-00001024.safetensors"


def test_the_key_depends_on_all_that_determines_the_outputs_and_not_on_the_order_of_layers() -> None:
    def key(teacher: str = "t", data: str = "d", layers: tuple[str, ...] = ("a", "b")) -> str:
        return soft_targets_key(teacher_fingerprint=teacher, transfer_fingerprint=data, layers=layers)

    assert key() == key(layers=("b", "a", "b"))
    assert len({key(), key("u"), key(data="e"), key(layers=("a",)), key("td", ""), key(layers=("a, b",))}) == 6


def test_predicted_bytes_by_hand() -> None:
    shapes = OutputShapes(10, {"stages.1": (8, 3, 3)})
    assert predicted_bytes(shapes, samples=1500, views=2) == 2 * 1500 * (10 + 72) * 2 + 4 * 2 * 100


def test_a_shard_counts_when_listed_with_its_checksum(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, shard in enumerate(SHARDS[:3]):
        write(tmp_path, shard, bytes([number]))
    (tmp_path / SHARDS[3].name).write_bytes(b"not listed")
    assert valid_shards(tmp_path, SHARDS) == set(SHARDS[:3])
    assert not caplog.records
    (tmp_path / SHARDS[0].name).write_bytes(b"damaged")
    (tmp_path / SHARDS[1].name).unlink()
    assert valid_shards(tmp_path, SHARDS) == {SHARDS[2]}
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "is damaged (sha256" in caplog.text
    assert "is gone" in caplog.text
    assert valid_shards(tmp_path / "nowhere", SHARDS) == set()


def test_the_later_line_counts_and_torn_or_foreign_lines_do_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, SHARDS[0], b"old")
    write(tmp_path, SHARDS[0], b"new")
    with (tmp_path / "index.jsonl").open("ab") as file:
        file.write(b'{"view": 1, "start": 0, "ro')
    write(tmp_path, SHARDS[1], b"one")
    with (tmp_path / "index.jsonl").open("ab") as file:
        foreign = {"view": 0, "start": 0, "rows": 1024, "sha256": "short"}
        file.write(b"[1]\nnull\n\n\xff\n" + json.dumps(foreign).encode())
    assert set(listed_shards(tmp_path)) == set(SHARDS[:2])
    assert "a torn line" in caplog.text
    assert valid_shards(tmp_path, SHARDS) == set(SHARDS[:2])


def test_a_plan_loads_no_torch() -> None:
    modules = "schedule, cache_files, history, prefetch"
    code = f"from edgedistill.distill import {modules}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_kept_is_part_of_the_key_only_where_something_is_lost() -> None:
    def key(storage: Storage, layers: tuple[str, ...] = ("a",)) -> str:
        return soft_targets_key(teacher_fingerprint="t", transfer_fingerprint="d", layers=layers, storage=storage)

    int8 = Storage(features=StoredFeatures.INT8)
    assert key(Storage(temperature=3)) == key(Storage())
    assert key(int8, ()) == key(Storage(), ())
    others = [Storage(), int8, Storage(5), Storage(5, 2.0), Storage(6), Storage(5, 1.0, StoredFeatures.INT8)]
    assert len({key(storage) for storage in others}) == len(others)
    assert key(Storage(5), ()) != key(Storage(), ("top",))


def test_large_heads_keep_the_largest_logits_where_that_saves_space() -> None:
    assert kept_logits(None, classes=999) == 0
    assert kept_logits(None, classes=1000) == 128
    assert kept_logits(0, classes=50_000) == 0
    assert kept_logits(5, classes=100) == 5
    assert kept_logits(5, classes=5) == 0
    assert kept_logits(49, classes=100) == 49
    assert kept_logits(50, classes=100) == 0


def test_sizes_by_hand() -> None:
    shapes = OutputShapes(1000, {"map": (8, 7, 7), "vector": (64,)})
    full = predicted_sizes(shapes, rows=10)
    assert full == Sizes(20_000, {"map": 10 * 8 * 49 * 2, "vector": 1280})
    assert full.total == 20_000 + 7840 + 1280
    assert full.text == "logits 20 kB, 'map' 7.84 kB, 'vector' 1.28 kB"
    small = predicted_sizes(shapes, rows=10, storage=Storage(128, 4.0, StoredFeatures.INT8))
    assert small == Sizes(10 * (128 * 4 + 2), {"map": 10 * (8 * 49 + 8 * 4), "vector": 10 * (64 + 4)})
    wide = predicted_sizes(OutputShapes(100_000, {}), rows=1, storage=Storage(100))
    assert wide.logits == 100 * 6 + 2


def test_errors_are_the_largest_of_the_shards_asked_for(tmp_path: Path) -> None:
    for shard, error in zip(SHARDS, (0.1, 0.3, 0.2, 0.9), strict=True):
        list_shard(tmp_path, shard, sha256="0" * 64, errors={"logits": error})
    list_shard(tmp_path, SHARDS[1], sha256="0" * 64, errors={"logits": 0.05, "features/a": 0.01})
    with (tmp_path / "index.jsonl").open("ab") as file:
        file.write(b'{"view": 0')
    assert listed_errors(tmp_path, SHARDS[:3]) == {"logits": 0.2, "features/a": 0.01}
    assert listed_errors(tmp_path / "none", SHARDS) == {}


def test_sizes_read_in_decimal_units() -> None:
    assert [bytes_text(size) for size in (12, 4.8e6, 51e9, 2e15)] == ["12 bytes", "4.8 MB", "51 GB", "2e+03 TB"]
