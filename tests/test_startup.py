"""What starting up loads: planning and help must not wait for torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys

HEAVY = ("torch", "onnx", "onnxruntime", "onnxscript", "jinja2")
# What `--help` does without as well.
HELP_WITHOUT = (*HEAVY, "numpy", "yaml")

# Everything that a plan needs, and what the rest imports at its top.
PLANNING = (
    "edgedistill",
    "edgedistill.api",
    "edgedistill.bench",
    "edgedistill.cache",
    "edgedistill.calibration",
    "edgedistill.cli",
    "edgedistill.cli.stages",
    "edgedistill.data.preprocessing",
    "edgedistill.data.sources",
    "edgedistill.data.transfer_set",
    "edgedistill.devices.arm_environment",
    "edgedistill.devices.base",
    "edgedistill.devices.emulated",
    "edgedistill.devices.emulation.boards",
    "edgedistill.devices.fleet",
    "edgedistill.devices.inventory",
    "edgedistill.devices.jobs",
    "edgedistill.devices.local",
    "edgedistill.distill.cache_files",
    "edgedistill.distill.losses",
    "edgedistill.doctor",
    "edgedistill.errors",
    "edgedistill.evaluate.executor",
    "edgedistill.export.passes",
    "edgedistill.models.fingerprints",
    "edgedistill.models.pretrained",
    "edgedistill.progress",
    "edgedistill.quantize.spec",
    "edgedistill.recipe",
    "edgedistill.report",
    "edgedistill.run.keys",
    "edgedistill.run.pipeline",
    "edgedistill.run.summary",
    "edgedistill.starter",
    "edgedistill.targets.arm_onnxruntime.target",
    "edgedistill.targets.base",
    "edgedistill.targets.registry",
)

LOADED_BY = """
import json, sys
{program}
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})), file=sys.stderr)
"""


def loaded_by(program: str) -> set[str]:
    """Return the first names of all modules that a program loads, in a Python of its own."""
    completed = subprocess.run(
        [sys.executable, "-c", LOADED_BY.format(program=program)], check=True, capture_output=True, text=True
    )
    return set(json.loads(completed.stderr.splitlines()[-1]))


HELP = """
from edgedistill.cli import main
sys.argv = ["edgedistill", {verb} "--help"]
try:
    main()
except SystemExit as ended:
    assert ended.code == 0, ended.code
"""


def test_help_loads_nothing_heavy() -> None:
    assert loaded_by(HELP.format(verb="")) & set(HELP_WITHOUT) == set()


def test_the_help_of_a_verb_loads_nothing_heavy() -> None:
    for verb in ('"run",', '"capture", "grade",'):
        assert loaded_by(HELP.format(verb=verb)) & set(HELP_WITHOUT) == set()


def test_importing_the_package_loads_next_to_nothing() -> None:
    loaded = loaded_by("import edgedistill; edgedistill.__version__; dir(edgedistill)")
    assert loaded & {*HELP_WITHOUT, "typer", "rich"} == set()


def test_the_modules_of_planning_load_no_torch() -> None:
    program = "; ".join(f"import {module}" for module in PLANNING)
    assert loaded_by(program) & set(HEAVY) == set()


def test_the_check_sees_what_is_loaded() -> None:
    assert {"numpy", "json"} <= loaded_by("import numpy.linalg")


def test_importing_it_switches_the_runtime_s_telemetry_off() -> None:
    program = "import edgedistill, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
