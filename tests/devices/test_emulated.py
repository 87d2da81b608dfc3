"""The emulated board: what it refuses, and, where it has been built, that it is what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from edgedistill.devices.arm_environment import environment_state
from edgedistill.devices.emulated import CPU_MODELS, EmulatedArm
from edgedistill.errors import UnsupportedError
from edgedistill.evaluate.executor import Execution

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import os, sys, numpy
numpy.save(sys.argv[1], numpy.arange(3, dtype=numpy.float32))
print(os.environ["EDGEDISTILL_EMULATED"])
"""


def test_an_unknown_cpu_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnsupportedError, match="did you mean 'cortex-a76'") as caught:
        EmulatedArm("cortex-a67")
    assert all(model in str(caught.value) for model in CPU_MODELS)


def test_naming_a_board_builds_nothing(tmp_path: Path) -> None:
    assert EmulatedArm("max", cache=tmp_path).name == "emulated:max"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def board() -> EmulatedArm:
    state = environment_state()
    if not state.ready:
        pytest.skip(f"emulated board: {state.reason}")
    return EmulatedArm("cortex-a53")


def test_it_is_an_aarch64_machine_with_this_runtime_and_this_cpus_features(board: EmulatedArm) -> None:
    facts = board.describe()
    assert (facts.name, facts.machine, facts.execution) == ("emulated:cortex-a53", "aarch64", Execution.EMULATED)
    assert facts.facts["onnxruntime"] == onnxruntime.__version__
    assert "asimd" in facts.facts["features"]
    assert "asimddp" not in facts.facts["features"]  # the A53 has no dot product
    assert facts.facts["cpu part"] == "0xd03"


def test_what_its_programs_write_can_be_pulled(board: EmulatedArm, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "program.py").write_text(PROGRAM)
    place = board.push(tmp_path / "job")
    done = board.run(("python3", str(place / "program.py"), str(place / "a.npy")), timeout_s=300)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    board.pull(place / "a.npy", tmp_path / "a.npy")
    assert np.load(tmp_path / "a.npy").tolist() == [0, 1, 2]


def test_a_program_that_the_board_has_not_is_not_taken_from_this_machine(board: EmulatedArm) -> None:
    assert board.run(("git", "--version"), timeout_s=60).returncode == 127
