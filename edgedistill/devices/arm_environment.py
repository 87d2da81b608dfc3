"""Builds what an emulated ARM64 board needs: Debian's arm64 userland, ONNX Runtime for aarch64, QEMU.

Everything goes into a folder of the cache; nothing on the host changes and no root is needed. The board's programs
then run as `qemu-aarch64 -L ROOTFS ROOTFS/usr/bin/python3.11`, ordinary processes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.cache import cache_folder
from edgedistill.devices import arm_parts
from edgedistill.devices.build_lock import only_one
from edgedistill.devices.debian import missing_tools
from edgedistill.devices.process import run_process
from edgedistill.errors import DependencyError, ResourceError, UnsupportedError
from edgedistill.progress import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgedistill.devices.base import Completed

BUILD_VERSION = 1
"""Counted up when the same versions have to be built in another way."""
NEEDED_BYTES = 600_000_000
"""Downloads (140 MB), what is unpacked from them (180 MB), and room to breathe."""
CHECK_TIMEOUT_S = 600.0
CHECK_MODEL = "cortex-a76"
RECORD = "environment.json"
DOWNLOADS = "downloads"

BOARD_VARIABLES = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "EDGEDISTILL_EMULATED": "1",  # programs there must not take their time for latency
    "ORT_DISABLE_TELEMETRY": "1",  # on by default since ONNX Runtime 1.29; it also writes into HOME
    "PYTHONNOUSERSITE": "1",
    "OPENBLAS_NUM_THREADS": "1",  # numpy's idle threads double the time of importing it
}
"""All that the board's programs see of an environment, besides HOME."""

# Prints what the board really has, and by importing everything once leaves Python's compiled files behind.
CHECK = """
import json, platform, numpy, onnxruntime
print(json.dumps({"machine": platform.machine(), "python": platform.python_version(),
                  "numpy": numpy.__version__, "onnxruntime": onnxruntime.__version__}))
"""


@dataclass(frozen=True)
class ArmEnvironment:
    """A built environment.

    Args:
        folder: where it is.
        versions: of python, numpy, onnxruntime and qemu in it.
    """

    folder: Path
    versions: Mapping[str, str]

    @property
    def rootfs(self) -> Path:
        """The board's root folder."""
        return self.folder / "rootfs"

    @property
    def qemu(self) -> Path:
        """The emulator."""
        return self.folder / arm_parts.QEMU

    @property
    def python(self) -> Path:
        """The board's Python."""
        return self.rootfs / "usr" / "bin" / f"python{arm_parts.PYTHON}"

    def run(
        self,
        program: Path,
        arguments: Sequence[str],
        *,
        cpu_model: str,
        folder: Path,
        timeout_s: float,
    ) -> Completed:
        """Run a program of the board on an emulated CPU.

        Args:
            program: an aarch64 program below `rootfs`.
            arguments: its arguments.
            cpu_model: QEMU's name of the CPU.
            folder: where it starts; files there, and all of this machine's, have the same paths on the board.
            timeout_s: after which it is stopped, in seconds.

        Raises:
            DeviceError: the time is over.
        """
        return run_process(
            (str(self.qemu), "-L", str(self.rootfs), "-cpu", cpu_model, str(program), *arguments),
            device=f"emulated:{cpu_model}",
            folder=folder,
            environment={**BOARD_VARIABLES, "HOME": str(folder)},
            timeout_s=timeout_s,
        )


@dataclass(frozen=True)
class EnvironmentState:
    """Whether the emulated board can be used.

    Args:
        ready: it is built.
        folder: where it is, or would be.
        size_bytes: of what is built; 0 when nothing is.
        reason: why it is not ready, and what would make it so; empty when it is.
    """

    ready: bool
    folder: Path
    size_bytes: int
    reason: str


def ensure(*, cache: Path | None = None, progress: Progress = SILENT) -> ArmEnvironment:
    """Return the environment; build it first where it is missing.

    A build that was interrupted goes on with the parts it has. Two processes build it once.

    Args:
        cache: folder of the cache; none means `$EDGEDISTILL_CACHE` or `~/.cache/edgedistill`.
        progress: where the build reports.

    Raises:
        UnsupportedError: this machine is not Linux on x86-64.
        DependencyError: a tool is missing, or something cannot be downloaded.
        ResourceError: there is not enough room, or the cache cannot be written.
    """
    folder = _folder(cache)
    built = _built(folder)
    if built is not None:
        return built
    _check_machine()
    try:
        with only_one(folder.with_suffix(".lock")):
            return _built(folder) or _build(folder, progress)
    except OSError as error:
        fix = "set EDGEDISTILL_CACHE to a folder that can be written and has room"
        raise ResourceError(f"folder '{folder.parent}'", found=str(error), fix=fix) from error


def environment_state(*, cache: Path | None = None) -> EnvironmentState:
    """Tell whether the emulated board is ready, without building or downloading anything."""
    folder = _folder(cache)
    if _built(folder) is not None:
        return EnvironmentState(ready=True, folder=folder, size_bytes=_recorded_size(folder), reason="")
    try:
        _check_machine()
    except (UnsupportedError, DependencyError) as error:
        return EnvironmentState(ready=False, folder=folder, size_bytes=0, reason=str(error))
    reason = "not built; `edgedistill devices emulate` builds it (about 20 s and 120 MB of downloads)"
    return EnvironmentState(ready=False, folder=folder, size_bytes=0, reason=reason)


def require_possible() -> None:
    """Refuse a machine on which there is no emulated board and none can be built; builds and downloads nothing.

    Raises:
        UnsupportedError: it is not Linux on x86-64.
        DependencyError: a tool is missing.
    """
    if not environment_state().ready:
        _check_machine()


def requirements() -> tuple[str, ...]:
    """Return the wheels of the board: this workstation's ONNX Runtime, and a numpy no newer than its own.

    Equal versions make a difference between the two machines a difference of the machines. Numpy may be older,
    because the board's Python may not take this one's.
    """
    numpy = f"numpy=={_version('numpy')}"
    newest = numpy if numpy in arm_parts.WHEEL_SHA256 else numpy.replace("==", "<=")
    return (f"onnxruntime=={_version('onnxruntime')}", newest)


def _folder(cache: Path | None) -> Path:
    parts = (str(BUILD_VERSION), arm_parts.SUITE, *arm_parts.PACKAGES, *requirements())
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return (cache or cache_folder()).absolute() / "arm64" / key


def _version(package: str) -> str:
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError as error:
        raise DependencyError(f"package '{package}'", found="not installed", fix=f"pip install {package}") from error


def _built(folder: Path) -> ArmEnvironment | None:
    if not (folder / RECORD).is_file():
        return None
    environment = ArmEnvironment(folder, _versions(folder))
    return environment if environment.qemu.exists() and environment.python.exists() else None


def _versions(folder: Path) -> dict[str, str]:
    versions: dict[str, str] = json.loads((folder / RECORD).read_text("utf-8"))["versions"]
    return versions


def _recorded_size(folder: Path) -> int:
    return int(json.loads((folder / RECORD).read_text("utf-8"))["size_bytes"])


def _check_machine() -> None:
    thing = "emulated ARM64 board"
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise UnsupportedError(thing, found=f"{platform.system()} on {platform.machine()}", wanted="Linux on x86_64")
    if lacking := missing_tools():
        raise DependencyError(thing, found=lacking, fix="install it, or run on Debian or Ubuntu")
    if importlib.util.find_spec("pip") is None:
        raise DependencyError(thing, found="no pip in this Python", fix=f"{sys.executable} -m ensurepip")


def _build(folder: Path, progress: Progress) -> ArmEnvironment:
    work = folder.with_suffix(".partial")
    if not (work / RECORD).exists():
        _check_room(folder)
        _build_parts(work, progress)
    shutil.rmtree(work / DOWNLOADS, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # one whose emulator went away
    work.rename(folder)
    return ArmEnvironment(folder, _versions(folder))


def _build_parts(work: Path, progress: Progress) -> None:
    fetches = _fetches(work)
    with progress.track("build the emulated ARM64 board", total=len(fetches) + 2) as tracker:
        with ThreadPoolExecutor() as pool:
            for part in as_completed([pool.submit(fetch) for fetch in fetches]):
                part.result()
                tracker.advance(note="downloading")
        _part(work / "rootfs", work, lambda into: _unpack(work, into))
        tracker.advance(note="starting its Python")
        _record(work, _checked(ArmEnvironment(work, {})))
        tracker.advance()


def _check_room(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if free < NEEDED_BYTES:
        raise ResourceError(
            f"folder '{folder.parent}'",
            found=f"{free / 1e6:.0f} MB free",
            wanted=f"{NEEDED_BYTES / 1e6:.0f} MB for the emulated board",
            fix="free some space, or set EDGEDISTILL_CACHE to a folder on another disk",
        )


def _fetches(work: Path) -> list[Callable[[], None]]:
    """Return what has to be downloaded, each on its own; what an earlier build has is left alone."""
    places: dict[str, Callable[[Path], None]] = {"packages": arm_parts.fetch_packages, "qemu": arm_parts.fetch_qemu}
    for requirement in requirements():
        name = requirement.replace("==", "-").replace("<=", "-")
        places[f"wheel-{name}"] = partial(arm_parts.fetch_wheel, requirement)
    downloads = work / DOWNLOADS
    return [partial(_part, downloads / name, work, fetch) for name, fetch in places.items()]


def _part(folder: Path, work: Path, make: Callable[[Path], None]) -> None:
    """Make a folder elsewhere and rename it, so that it is there whole or not at all.

    The place is new each time: a tool that an earlier, killed build left running may still write into its own.
    """
    if folder.exists():
        return
    (work / DOWNLOADS).mkdir(parents=True, exist_ok=True)
    elsewhere = Path(tempfile.mkdtemp(prefix="new-", dir=work / DOWNLOADS))
    make(elsewhere)
    elsewhere.chmod(0o755)
    elsewhere.rename(folder)


def _unpack(work: Path, into: Path) -> None:
    downloads = work / DOWNLOADS
    arm_parts.make_rootfs(into, packages=downloads.glob("packages/*.deb"), wheels=downloads.glob("wheel-*/*.whl"))


def _checked(environment: ArmEnvironment) -> dict[str, str]:
    """Run the board's Python once and return the versions it has."""
    downloaded = environment.folder / DOWNLOADS / "qemu" / arm_parts.QEMU
    if downloaded.exists():
        downloaded.rename(environment.qemu)
    done = environment.run(
        environment.python,
        ("-c", CHECK),
        cpu_model=CHECK_MODEL,
        folder=environment.folder,
        timeout_s=CHECK_TIMEOUT_S,
    )
    if done.returncode:
        raise DependencyError(
            "emulated ARM64 board",
            found=f"its Python ended with {done.returncode}: {done.stderr.strip()[-400:]}",
            fix=f"remove '{environment.folder}' and start again",
        )
    versions: dict[str, str] = json.loads(done.stdout)
    return {**versions, "qemu": str(arm_parts.qemu_version(environment.qemu))}


def _record(work: Path, versions: Mapping[str, str]) -> None:
    """Write what was downloaded, with hashes, and what came of it: the sign that nothing is missing."""
    patterns = (f"{DOWNLOADS}/packages/*.deb", f"{DOWNLOADS}/wheel-*/*.whl")
    downloads = sorted(path for pattern in patterns for path in work.glob(pattern))
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in downloads}
    files = (path for place in (work / "rootfs", work / arm_parts.QEMU) for path in (place, *place.rglob("*")))
    size = sum(path.lstat().st_size for path in files if not path.is_dir())
    document = {"versions": versions, "downloads": hashes, "size_bytes": size}
    beside = work / f"{RECORD}.new"
    beside.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
    beside.rename(work / RECORD)
