"""Counting instructions: the arithmetic of the marks, the refusals, and, where all is built, a real count."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgedistill.devices import instruction_counter
from edgedistill.devices.arm_environment import environment_state
from edgedistill.devices.base import Completed
from edgedistill.devices.instruction_counter import counter_folder, ensure_counter
from edgedistill.devices.instructions import EMPTY, INFERENCES, InstructionCount, count_instructions, counts_from_marks
from edgedistill.errors import DependencyError, DeviceError, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path


def marks_of(cost: int, *, marking: int) -> np.ndarray:
    """Return the marks of a model whose inferences cost `cost`, and one of them 7 more."""
    steps = [marking] * EMPTY
    for index in range(INFERENCES):
        steps += [500, cost + marking + 7 * (index == 3)]
    return np.cumsum(steps)


def test_a_count_is_the_median_between_marks_without_the_marking() -> None:
    marks = np.concatenate([marks_of(1000, marking=30), 10**9 + marks_of(400, marking=20)])
    assert counts_from_marks(marks, models=2) == [
        InstructionCount(1000.0, 1000.0, 1007.0, INFERENCES),
        InstructionCount(400.0, 400.0, 407.0, INFERENCES),
    ]


def test_missing_marks_are_noticed() -> None:
    with pytest.raises(DeviceError, match=f"{EMPTY + 2 * INFERENCES - 1} marks; wanted {EMPTY + 2 * INFERENCES}"):
        counts_from_marks(marks_of(1000, marking=30)[:-1], models=1)


def test_a_cpu_model_that_the_counter_has_not_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="cortex-a53, cortex-a72, cortex-a76, neoverse-n1"):
        count_instructions([], np.zeros((1, 1), np.float32), cpu_model="cortex-a710", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(DependencyError, match="no C compiler"):
        ensure_counter(cache=tmp_path)


def test_a_counter_is_built_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands = []

    def run_tool(*command: str) -> Completed:
        commands.append(command)
        return Completed(0, "", "")

    def download_from_any(packages: tuple[str, ...], *, into: Path, **_: object) -> None:
        if len(commands) == 1:
            raise DependencyError("packages of Debian", found="no network")
        for name in packages:
            (into / f"{name}_1_amd64.deb").write_text("")

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(instruction_counter, "run_tool", run_tool)
    monkeypatch.setattr(instruction_counter, "download_from_any", download_from_any)
    monkeypatch.setattr(instruction_counter, "unpack", lambda package, _: commands.append((package.name,)))
    monkeypatch.setattr(instruction_counter, "unpack_one", lambda _package, _member, into: into.write_text("qemu"))
    with pytest.raises(DependencyError, match="no network"):
        ensure_counter(cache=tmp_path)
    assert not list((tmp_path / "arm64").glob("counter-*[!k]"))  # only the lock
    counter = ensure_counter(cache=tmp_path)
    assert counter.qemu.read_text() == "qemu"
    assert sorted(path.name for path in counter.folder.iterdir()) == ["counter.c", "qemu-aarch64"]
    assert [command[0] for command in commands if command[0].endswith(".deb")] == sorted(
        f"{name}_1_amd64.deb" for name in instruction_counter.LIBRARIES
    )
    before = len(commands)
    assert ensure_counter(cache=tmp_path) == counter
    assert len(commands) == before
    assert not list((tmp_path / "arm64").glob("new-*"))


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(instruction_counter, "run_tool", lambda *_: Completed(1, "", "fatal error: stdio.h"))
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(DependencyError, match=r"the C compiler says: fatal error: stdio\.h"):
        ensure_counter(cache=tmp_path)


def test_the_work_of_a_product_is_found_in_the_count(tmp_path: Path) -> None:
    if not environment_state().ready or not counter_folder().exists():
        pytest.skip("the emulated board and its instruction counter have not been built")
    models = [matmul(tmp_path / f"{width}.onnx", width) for width in (256, 512)]
    small, large = count_instructions(models, np.ones((2, 256), np.float32), cpu_model="cortex-a72")
    multiply_adds = 256 * 256 // 4  # more of them in the larger one; an instruction does four
    assert multiply_adds < large.instructions - small.instructions < 3 * multiply_adds
    assert small.lowest <= small.instructions <= small.highest


def matmul(path: Path, width: int) -> Path:
    weights = onnx.numpy_helper.from_array(np.ones((256, width), np.float32), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["input", "weights"], ["output"])],
        "matmul",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 256])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", width])],
        [weights],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
