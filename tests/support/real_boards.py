"""Real emulated boards in tests: what `benchmarks/devices/scenarios.py` does to them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PLACE = Path(__file__).parents[2] / "benchmarks" / "devices" / "scenarios.py"
_specification = importlib.util.spec_from_file_location("scenarios", PLACE)
assert _specification is not None
assert _specification.loader is not None
scenarios = importlib.util.module_from_spec(_specification)
sys.modules["scenarios"] = scenarios  # dataclasses look their module up
_specification.loader.exec_module(scenarios)

device_of = scenarios.device_of
