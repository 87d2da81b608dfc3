"""Runs an artifact on emulated boards that boot, over real SSH and adb, and does to them what can go wrong.

Usage: python benchmarks/devices/end_to_end.py --artifact RUN/artifacts/NAME [--result FILE]

On three CPU models, the artifact is pushed, verified there, run on its golden inputs, and the outputs are fetched and
compared with this workstation's, bit for bit; then the measuring protocol is rehearsed there. Then every fault of
`scenarios.py`. Nothing here is a latency: the boards are emulated. Seconds are this workstation's, for orientation.
Needs root, Linux 6.7 or newer, Debian's or Ubuntu's package tools, and a network for the board's parts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import socket
import tempfile
import time
from pathlib import Path

import onnxruntime
from scenarios import SCENARIOS, Lab, Seen, device_of, end_to_end, seen

from edgedistill.bench.measurement import Rehearsal
from edgedistill.bench.on_device import Place, Settings, judged, measure_on_device
from edgedistill.devices.emulation.boards import BoardChoice, EmulatedBoard, Link
from edgedistill.errors import DependencyError

BOARDS = {
    "cortex-a53, adb": BoardChoice("cortex-a53", Link.ADB),
    "cortex-a72, ssh": BoardChoice("cortex-a72"),
    "cortex-a76, ssh": BoardChoice("cortex-a76"),
}
SHORT = Settings(processes=2, seconds=1.0, samples=44, max_seconds=60.0, rest_seconds=0.0)


def rehearsed(lab: Lab, board: EmulatedBoard) -> Seen:
    """Carry out the measuring protocol on a board; what comes back is a rehearsal, which has no latency."""

    def work() -> tuple[object, tuple[str, ...]]:
        place = Place(device_of(board), lab.work / "rehearsal")
        found = judged(measure_on_device(lab.artifact, place, SHORT))
        processes = len(found.recording.processes)
        return {"type": type(found).__name__, "is_rehearsal": isinstance(found, Rehearsal), "processes": processes}, ()

    return seen(work)


def recorded(found: Seen, *, shown: bool = True) -> dict[str, object]:
    """Return what came of a scenario, without what changes from run to run."""
    kept = {"message": found.message, "notes": list(found.notes), **found.more}
    if shown:
        kept["result"] = found.result
    return {name: value for name, value in kept.items() if name != "command"} | {"seconds": round(found.seconds, 1)}


def everything(artifact: Path, work: Path) -> dict[str, object]:
    """Run every board and every fault, and return what came of them."""
    ends: dict[str, object] = {}
    faults: dict[str, object] = {}
    lab = Lab(artifact, work)
    try:
        for name, choice in BOARDS.items():
            board = lab.start(f"{choice.cpu_model}-{choice.link}", choice)
            found, rehearsal = end_to_end(lab, board), rehearsed(lab, board)
            ends[name] = {**recorded(found, shown=False), "protocol": recorded(rehearsal)}
            print(f"{name}: {json.dumps(ends[name])}", flush=True)
        for name, scenario in SCENARIOS.items():
            try:
                found = scenario(lab)
            except DependencyError as error:
                found = Seen(f"not run: {error}", (), None, 0.0)
            faults[name] = recorded(found, shown=isinstance(found.result, str))
            print(f"{name}: {json.dumps(faults[name])}", flush=True)
    finally:
        lab.close()
    return {"boards": ends, "faults": faults}


def without_places(text: str) -> str:
    """Return a text without the names of temporary folders and of this machine, which change from run to run."""
    named = re.sub(rf"{re.escape(tempfile.gettempdir())}/{tempfile.gettempprefix()}\w+", "TEMPORARY", text)
    return named.replace(f"@{socket.gethostname()} ", "@HOST ")


def main() -> None:
    """Run everything and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument(
        "--result", type=Path, default=Path(__file__).parents[1] / "results" / "devices_end_to_end.json"
    )
    options = parser.parse_args()
    begun = time.monotonic()
    manifest = json.loads((options.artifact / "manifest.json").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as work:
        found = everything(options.artifact.resolve(), Path(work))
    text = without_places(json.dumps(found))
    document = {
        "what": "emulated boards that boot, over real SSH and adb; no number here is a latency",
        "machine": {"system": f"{platform.system()} {platform.release()}", "cores": os.cpu_count()},
        "onnxruntime": onnxruntime.__version__,
        "artifact": {
            "name": manifest["name"],
            "target": f"{manifest['target']}/{manifest['profile']}",
            "model_sha256": manifest["files"][manifest["model"]]["sha256"],
        },
        "minutes": round((time.monotonic() - begun) / 60, 1),
        **json.loads(text),
    }
    options.result.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(options.result)


if __name__ == "__main__":
    main()
