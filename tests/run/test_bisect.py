"""`bisect_run` on a quick run: builds what is missing, compares, and says what it did not compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipes import write_recipe

from edgedistill.evaluate.executor import Execution
from edgedistill.run.bisect import bisect_run
from edgedistill.run.pipeline import Stage, plan

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_is_built_and_its_artifact_compared(tmp_path: Path) -> None:
    overrides = [f"cache.folder={tmp_path / 'cache'}", "distill.epochs=1", "quantize.finetune.epochs=0"]
    planned = plan(write_recipe(tmp_path), overrides=overrides, folder=tmp_path / "run", until=Stage.BUILD)
    host, board = bisect_run(planned, samples=8)
    assert host.target == "arm-onnxruntime/raspberry-pi-4"
    assert host.execution is Execution.HOST
    assert host.found is not None
    assert host.found.samples == 8
    assert not host.differs
    assert (board.found, board.differs) == (None, False)
    assert "verify.emulate: never" in board.reason
