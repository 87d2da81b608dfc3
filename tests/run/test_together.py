"""Whole runs by two real processes: what they leave, and what they refuse."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import torch
from recipes import quick_document, write_recipe
from safetensors.torch import load_file

if TYPE_CHECKING:
    from pathlib import Path

IMPATIENT = """
import runpy
from edgedistill.distill.parallel import shared_files
shared_files.PATIENCE_S = 0.5
runpy.run_module("edgedistill", run_name="__main__", alter_sys=True)
"""
INVERTED = {
    "source": "inverted",
    "classes": list("abcdef"),
    "inversion": {
        "samples": 70,
        "evaluation_samples": 24,
        "batch_size": 35,
        "steps": 3,
        "min_confidence": 0.0,
        "min_class_share": 0.0,
    },
}


def distilled(folder: Path, *, count: int, caches: tuple[str, ...]) -> list[subprocess.CompletedProcess[str]]:
    """Distil without data, each process with a cache of its own or a common one; return how each ended."""
    folder.mkdir()
    document = quick_document()
    document["data"] = document["data"] | INVERTED
    document["distill"] = {"epochs": 2, "batch_size": 16, "baseline": False}
    recipe = write_recipe(folder, document)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = str(server.getsockname()[1])
    shared = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, "-c", IMPATIENT, "distill", str(recipe), "--folder", str(folder / "run"), "--json"]
    started = [
        subprocess.Popen(
            command,
            env=os.environ | shared | {"RANK": str(rank), "EDGEDISTILL_CACHE": str(folder / cache)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, cache in enumerate(caches)
    ]
    try:
        told = [process.communicate(timeout=90) for process in started]
    finally:
        for process in started:
            process.kill()
    return [
        subprocess.CompletedProcess(command, process.returncode, out, err)
        for process, (out, err) in zip(started, told, strict=True)
    ]


def test_samples_made_from_the_teacher_are_made_once_and_the_student_is_that_of_one(tmp_path: Path) -> None:
    for count in (1, 2):
        ended = distilled(tmp_path / str(count), count=count, caches=("cache",) * count)
        assert [process.stderr for process in ended if process.returncode] == []
    (lines_of_one, lines_of_two) = (
        sorted(next((tmp_path / name / "cache/inverted").glob("*/index.jsonl")).read_text("utf-8").splitlines())
        for name in "12"
    )
    assert lines_of_two == lines_of_one  # the same bytes, and no batch made twice
    one, two = (load_file(tmp_path / name / "run/student/student.safetensors") for name in "12")
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-4)  # float32, 10 steps


def test_caches_that_are_not_shared_are_refused_before_anything_is_computed(tmp_path: Path) -> None:
    ended = distilled(tmp_path / "apart", count=2, caches=("cache-0", "cache-1"))
    assert [process.returncode for process in ended] == [2, 2]
    for process in ended:
        assert "cache folder" in process.stderr
        assert "process 0 does not see there what process 1 wrote" in process.stderr
        assert "set `cache.folder` or $EDGEDISTILL_CACHE" in process.stderr
    assert not list((tmp_path / "apart").glob("cache-*/*"))
    assert not (tmp_path / "apart/run/student").exists()
