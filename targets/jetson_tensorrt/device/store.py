"""Engines on this module: built once, kept by everything that a plan depends on, and opened again."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Dict, Optional

from edgedistill.targets.jetson_tensorrt.device import module, trtexec
from edgedistill.targets.jetson_tensorrt.device.answer import TensorRtError
from edgedistill.targets.jetson_tensorrt.device.engine import (
    TIMING_CACHE,
    engine_key,
    plan_from_onnx,
    version_of,
    write_whole,
)

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from edgedistill.targets.jetson_tensorrt.device.cuda import Cuda
    from edgedistill.targets.jetson_tensorrt.device.manifest import Manifest
    from edgedistill.targets.jetson_tensorrt.device.trtexec import Options

BUILD_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Kept:
    """An engine on disk.

    Args:
        plan: its file.
        precision: "int8" or "fp16".
        form: what the manifest says of the network's form.
        cached: whether it was there before.
        build_s: seconds that building took; 0 for one that was there.
        facts: what it was built from and for.
    """

    plan: Path
    precision: str
    form: Dict[str, Any]
    cached: bool
    build_s: float
    facts: Dict[str, Any]

    def described(self) -> Dict[str, Any]:
        """Return what the answer says of it."""
        return {
            "precision": self.precision,
            "form": self.form["file"],
            "typing": self.form["typing"],
            "plan": str(self.plan),
            "plan_bytes": self.plan.stat().st_size,
            "cached": self.cached,
            "build_s": self.build_s,
            "built_for": self.facts,
        }


def engine_of(
    trt: ModuleType,
    manifest: Manifest,
    precision: str,
    options: Options,
    *,
    cuda: Cuda,
    folder: Path,
    program: Optional[Path] = None,
) -> Kept:
    """Return the engine of a precision, built if it is not there yet.

    Args:
        trt: TensorRT's Python package.
        manifest: of the artifact; its files are checked.
        precision: "int8" or "fp16".
        options: of the build.
        cuda: the GPU.
        folder: where engines are kept.
        program: trtexec, to build with it; none builds with the Python package.

    Raises:
        TensorRtError: no engine came out.
    """
    form = manifest.form(precision, version_of(trt))
    facts = {
        "onnx_sha256": manifest.document["files"][form["file"]]["sha256"],
        "compute_capability": cuda.compute_capability(),
        "model": module.facts()["model"],
        "tensorrt": str(trt.__version__),
        "l4t": module.l4t_version(),
        "options": {
            name: value for name, value in asdict(options).items() if name in ("workspace_mb", "dla_core", "level")
        },
        "builder": "trtexec" if program else "python",
    }
    plan = folder / "{}.plan".format(engine_key(facts))
    described = plan.with_suffix(".json")
    if plan.is_file() and described.is_file():
        return Kept(plan, precision, form, True, 0.0, facts)
    start = time.monotonic()
    if program is None:
        calibration = manifest.path(str(form["calibration"])) if form["calibration"] else None
        content = plan_from_onnx(
            trt,
            manifest.path(str(form["file"])),
            form,
            options,
            timing_cache=folder / TIMING_CACHE,
            calibration=calibration,
        )
        write_whole(plan, content)
    else:
        _build_with_trtexec(program, trt, manifest, form, options, plan)
    seconds = time.monotonic() - start
    write_whole(described, json.dumps(facts, sort_keys=True, indent=1).encode())
    return Kept(plan, precision, form, False, seconds, facts)


def _build_with_trtexec(
    program: Path, trt: ModuleType, manifest: Manifest, form: Dict[str, Any], options: Options, plan: Path
) -> None:
    beside, layers = plan.with_suffix(".new"), plan.with_suffix(".layers.json")
    arguments = trtexec.build_arguments(
        version_of(trt),
        form,
        options,
        folder=manifest.folder,
        plan=beside,
        cache=plan.with_name(TIMING_CACHE),
        layers=layers,
    )
    trtexec.call(program, arguments, timeout_s=BUILD_TIMEOUT_S)
    if not beside.is_file():
        raise TensorRtError("trtexec ended without an engine")
    trtexec.layers_from(layers)
    beside.replace(plan)
