"""SIGKILL while 16 writers write, and malformed requests: the benchmarks' scripts, small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parents[2] / "benchmarks/capture"


def result_of(script: str, folder: Path, *options: str) -> Any:  # noqa: ANN401 - JSON
    """Run a benchmark's script; return the results that it writes."""
    command = [sys.executable, str(SCRIPTS / script), *options, "--out", str(folder / "results.json")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads((folder / "results.json").read_text("utf-8"))


def test_nothing_acknowledged_is_lost_when_16_writers_are_killed(tmp_path: Path) -> None:
    found = result_of("kill_writers.py", tmp_path, "--rounds", "2", "--longest", "0.5")
    assert found["lost"] == 0
    assert [one["killed"] for one in found["rounds"]] == ["writers", "server"]
    assert found["rounds"][0]["acknowledged"] >= 16


def test_malformed_requests_are_answered_and_leak_no_key(tmp_path: Path) -> None:
    found = result_of("malformed.py", tmp_path, "--requests", "300")
    assert found["leaks"] == []
    assert found["tracebacks"] == 0
    assert found["requests"] == 300
    assert "500" not in found["statuses"]
    assert found["statuses"]["200"] > 30
    assert found["statuses"]["400"] > 30
