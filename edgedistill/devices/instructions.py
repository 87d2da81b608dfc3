"""Instructions per inference on an emulated CPU: a count, which repeats, and no time.

The count says how much work a model is on a CPU with those instructions (a Cortex-A76 has a dot product, a
Cortex-A72 has none). It knows nothing of caches, memory or clocks, so that two models' times need not relate as
their counts do.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.devices.arm_environment import BOARD_VARIABLES, ArmEnvironment, ensure
from edgedistill.devices.instruction_counter import MARK, InstructionCounter, ensure_counter
from edgedistill.devices.process import run_process
from edgedistill.errors import DeviceError, UnsupportedError, nearest
from edgedistill.progress import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedistill.evaluate.executor import Inputs

CPU_MODELS = ("cortex-a53", "cortex-a72", "cortex-a76", "neoverse-n1")
"""Those of the emulated board that QEMU 7.2 knows too."""
WARMUP, EMPTY, INFERENCES = 5, 10, 20
TIMEOUT_S = 1800.0

# Runs on the board: for each model, marks with nothing between them, then pairs of marks around one inference.
PROGRAM = f"""
import ctypes, sys
import numpy, onnxruntime

library = ctypes.CDLL(None)
def mark():
    library.getpriority({MARK}, 0)

inputs = numpy.load(sys.argv[1])
rows = [numpy.ascontiguousarray(inputs[index : index + 1]) for index in range(len(inputs))]
for path in sys.argv[2:]:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name
    for index in range({WARMUP}):
        session.run(None, {{feed: rows[index % len(rows)]}})
    for index in range({EMPTY}):
        mark()
    for index in range({INFERENCES}):
        mark()
        session.run(None, {{feed: rows[index % len(rows)]}})
        mark()
"""


@dataclass(frozen=True)
class InstructionCount:
    """How many instructions one call of the runtime takes, batch 1, one thread.

    Args:
        instructions: median over the inferences, the counting itself subtracted.
        lowest: of all inferences.
        highest: of all inferences.
        n: inferences.
    """

    instructions: float
    lowest: float
    highest: float
    n: int


def count_instructions(
    models: Sequence[Path],
    inputs: Inputs,
    *,
    cpu_model: str,
    cache: Path | None = None,
    progress: Progress = SILENT,
) -> list[InstructionCount]:
    """Run models in the board's ONNX Runtime under a counting emulator.

    Args:
        models: ONNX files; the first input of each takes (batch, ...) float32.
        inputs: (n, *input_shape), preprocessed; each inference takes the next row.
        cpu_model: one of `CPU_MODELS`.
        cache: folder of the cache; none means `$EDGEDISTILL_CACHE` or `~/.cache/edgedistill`.
        progress: where building the board reports.

    Returns:
        One count for each model.

    Raises:
        UnsupportedError: another CPU model, or the board cannot be built on this machine.
        DependencyError: a tool is missing (a C compiler, apt-get), or something cannot be downloaded.
        DeviceError: the emulator ended early, or does not end.
    """
    if cpu_model not in CPU_MODELS:
        raise UnsupportedError(
            f"CPU model '{cpu_model}' for counting instructions", found="not known", fix=nearest(cpu_model, CPU_MODELS)
        )
    environment = ensure(cache=cache, progress=progress)
    counter = ensure_counter(cache=cache)
    with tempfile.TemporaryDirectory() as folder:
        marks = _marks(environment, counter, models, inputs, cpu_model=cpu_model, folder=Path(folder))
    return counts_from_marks(marks, models=len(models))


def counts_from_marks(marks: NDArray[np.int64], *, models: int) -> list[InstructionCount]:
    """Return the counts that the program's marks amount to.

    Args:
        marks: (models * (EMPTY + 2 * INFERENCES),), instructions executed at each mark.
        models: how many models were run.

    Raises:
        DeviceError: there are not as many marks as there should be.
    """
    wanted = models * (EMPTY + 2 * INFERENCES)
    if len(marks) != wanted:
        raise DeviceError("counting instructions", found=f"{len(marks)} marks", wanted=str(wanted))
    counts = []
    for part in marks.reshape(models, -1):
        marking = np.median(np.diff(part[:EMPTY]))
        pairs = part[EMPTY:].reshape(INFERENCES, 2)
        found = pairs[:, 1] - pairs[:, 0] - marking
        counts.append(InstructionCount(float(np.median(found)), float(found.min()), float(found.max()), INFERENCES))
    return counts


def _marks(
    environment: ArmEnvironment,
    counter: InstructionCounter,
    models: Sequence[Path],
    inputs: Inputs,
    *,
    cpu_model: str,
    folder: Path,
) -> NDArray[np.int64]:
    root = _root(environment, cpu_model, folder)
    np.save(folder / "inputs.npy", inputs)
    marks = folder / "marks"
    emulator = (str(counter.qemu), "-plugin", f"{counter.plugin},marks={marks}", "-U", "LD_LIBRARY_PATH")
    python = str(root / environment.python.relative_to(environment.rootfs))
    paths = [str(model.resolve()) for model in models]
    done = run_process(
        (*emulator, "-L", str(root), "-cpu", cpu_model, python, "-c", PROGRAM, str(folder / "inputs.npy"), *paths),
        device=f"counting emulated:{cpu_model}",
        folder=folder,
        environment={
            **BOARD_VARIABLES,
            "HOME": str(folder),
            "LD_LIBRARY_PATH": counter.libraries,
            "PYTHONHASHSEED": "0",  # the same order of everything in every run
        },
        timeout_s=TIMEOUT_S,
    )
    if done.returncode:
        raise DeviceError(
            f"counting instructions on {cpu_model}",
            found=f"the emulator ended with {done.returncode}: {done.stderr.strip()[-400:]}",
        )
    return np.array(marks.read_text("utf-8").split(), np.int64)


def _root(environment: ArmEnvironment, cpu_model: str, folder: Path) -> Path:
    """Return a root that is the board's, with a /proc/cpuinfo of the CPU model.

    QEMU 7.2 gives programs the host's, on which ONNX Runtime crashes (seen with 1.32.0); a file in the root wins over
    it. The text is what QEMU 10 makes up.
    """
    done = environment.run(
        environment.python,
        ("-c", "print(open('/proc/cpuinfo').read(), end='')"),
        cpu_model=cpu_model,
        folder=folder,
        timeout_s=TIMEOUT_S,
    )
    root = folder / "root"
    (root / "proc").mkdir(parents=True)
    (root / "proc" / "cpuinfo").write_text(done.stdout, "utf-8")
    for place in environment.rootfs.iterdir():
        (root / place.name).symlink_to(place)
    return root
