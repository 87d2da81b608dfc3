"""The latency suite: the artifacts of example runs on every device of an inventory, by the whole protocol.

    edgedistill run examples/fashion_mnist.yaml
    python benchmarks/latency/suite.py runs/fashion-mnist [RUN...] [--device NAME ...] [--seconds 60]

Without --device it takes every device of devices.toml; `--device local` is this workstation. Each measurement goes into
the results folder and into its run's page; `results/latency_suite.json` holds what was found, without the raw samples.
Emulated devices rehearse the suite and have no row. An artifact goes to the devices that can run it: its runner says.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.bench.measurement import Measurement
from edgedistill.bench.on_device import Settings
from edgedistill.bench.table import HEADERS, remarks_on, row_of
from edgedistill.devices.inventory import inventory
from edgedistill.run.artifact_bench import measure_artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULT = Path(__file__).parents[1] / "results" / "latency_suite.json"


def artifacts_of(runs: list[Path]) -> Iterator[Path]:
    """Yield every artifact of the runs that carries a runner."""
    for run in runs:
        found = sorted(path.parent for path in (run / "artifacts").glob("*/runner.py"))
        if not found:
            raise SystemExit(f"{run}: no artifact with a runner; `edgedistill run` or `build` makes one")
        yield from found


def measured(artifact: Path, devices: list[str], settings: Settings) -> tuple[list[Measurement], list[dict[str, str]]]:
    """Return the measurements of one artifact, and which devices gave none, and why."""
    found, missing = [], []
    for end in measure_artifact(artifact, devices, settings):
        if end.value is None:
            missing.append({"artifact": artifact.name, "device": end.name, "why": str(end.error)})
        elif isinstance(end.value.found, Measurement):
            found.append(end.value.found)
        else:
            missing.append({"artifact": artifact.name, "device": end.name, "why": "emulated: rehearsed, no latency"})
    return found, missing


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--device", action="append", default=[])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    devices = options.device or sorted(inventory())
    if not devices:
        raise SystemExit("devices.toml names no device; give some by --device")
    settings = Settings(processes=options.processes, seconds=options.seconds, threads=options.threads)
    found: list[Measurement] = []
    missing: list[dict[str, str]] = []
    for artifact in artifacts_of(options.runs):
        here, gone = measured(artifact, devices, settings)
        found += here
        missing += gone
    print("\t".join(HEADERS))
    for item in found:
        print("\t".join(row_of(item)))
        print("\n".join(f"  {line}" for line in remarks_on(item)))
    for item in missing:
        print(f"no row: {item['artifact']} on {item['device']}: {item['why']}")
    rows = [item.model_dump(mode="json", by_alias=True, exclude={"recording": {"processes"}}) for item in found]
    RESULT.write_text(json.dumps({"measurements": rows, "missing": missing}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
