"""Building the emulated board, with parts that cost nothing: order, resumption, locks, refusals."""

from __future__ import annotations

import json
import platform
import shutil
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

import pytest

from edgedistill.devices import arm_environment, arm_parts
from edgedistill.devices.arm_environment import ensure, environment_state, requirements
from edgedistill.errors import DependencyError, EdgeDistillError, ResourceError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

# What the emulator would be asked: its version, or the board's Python for its versions.
QEMU = """#!/bin/sh
case "$1" in
  --version) echo "qemu-aarch64 version 10.0.2" ;;
  *) echo '{"machine": "aarch64", "python": "3.11.2", "numpy": "2.4.6", "onnxruntime": "1.32.0"}' ;;
esac
"""

# What the board's programs see, whatever this process sees.
OURS = {
    "PATH",
    "HOME",
    "LANG",
    "EDGEDISTILL_EMULATED",
    "ORT_DISABLE_TELEMETRY",
    "PYTHONNOUSERSITE",
    "OPENBLAS_NUM_THREADS",
}

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="the board is built on Linux on x86_64"
)


class Parts(NamedTuple):
    """What was fetched, and how to make a fetch fail."""

    fetched: list[str]
    failing: dict[str, BaseException]


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    made = Parts([], {})

    def fetch(name: str, write: Callable[[], object]) -> None:
        made.fetched.append(name)
        if name in made.failing:
            raise made.failing.pop(name)
        write()

    def fetch_packages(into: Path) -> None:
        fetch("packages", lambda: (into / "libc6_1_arm64.deb").write_text("a"))

    def fetch_wheel(requirement: str, into: Path) -> None:
        fetch(requirement, lambda: (into / f"{requirement[:5]}.whl").write_text("b"))

    def fetch_qemu(into: Path) -> None:
        program = into / "qemu-aarch64"
        fetch("qemu", lambda: (program.write_text(QEMU), program.chmod(0o755)))

    def make_rootfs(into: Path, *, packages: Iterable[Path], wheels: Iterable[Path]) -> None:
        made.fetched.append(f"rootfs of {len(list(packages))} and {len(list(wheels))}")
        (into / "usr/bin").mkdir(parents=True)
        (into / "usr/bin/python3.11").write_text("python")

    monkeypatch.setattr(arm_parts, "fetch_packages", fetch_packages)
    monkeypatch.setattr(arm_parts, "fetch_wheel", fetch_wheel)
    monkeypatch.setattr(arm_parts, "fetch_qemu", fetch_qemu)
    monkeypatch.setattr(arm_parts, "make_rootfs", make_rootfs)
    monkeypatch.setattr(arm_environment, "missing_tools", lambda: "")
    monkeypatch.setattr(arm_environment, "NEEDED_BYTES", 0)
    return made


def test_everything_is_built_once_and_recorded(parts: Parts, tmp_path: Path) -> None:
    built = ensure(cache=tmp_path)
    assert sorted(parts.fetched) == sorted(["packages", "qemu", *requirements(), "rootfs of 1 and 2"])
    assert built.versions == {
        "machine": "aarch64",
        "python": "3.11.2",
        "numpy": "2.4.6",
        "onnxruntime": "1.32.0",
        "qemu": "10",
    }
    assert ensure(cache=tmp_path) == built
    assert len(parts.fetched) == 5
    record = json.loads((built.folder / "environment.json").read_text())
    assert record["downloads"]["libc6_1_arm64.deb"] == (
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"  # sha256 of "a"
    )
    assert record["size_bytes"] == len("python") + len(QEMU)
    assert sorted(path.name for path in built.folder.parent.iterdir()) == [
        built.folder.name,
        f"{built.folder.name}.lock",
    ]
    assert not (built.folder / "downloads").exists()


def test_an_interrupted_build_goes_on_with_what_it_has(parts: Parts, tmp_path: Path) -> None:
    parts.failing["qemu"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        ensure(cache=tmp_path)
    assert not environment_state(cache=tmp_path).ready
    before = len(parts.fetched)
    ensure(cache=tmp_path)
    assert parts.fetched[before:] == ["qemu", "rootfs of 1 and 2"]


def test_a_build_that_was_killed_before_its_last_step_only_takes_that(parts: Parts, tmp_path: Path) -> None:
    folder = ensure(cache=tmp_path).folder
    folder.rename(folder.with_suffix(".partial"))  # as it stands after the record and before the renaming
    before = len(parts.fetched)
    assert ensure(cache=tmp_path).folder == folder
    assert len(parts.fetched) == before


def test_an_emulator_that_went_away_is_fetched_again(parts: Parts, tmp_path: Path) -> None:
    built = ensure(cache=tmp_path)
    built.qemu.unlink()
    built.qemu.symlink_to("/nowhere/qemu-aarch64")
    assert not environment_state(cache=tmp_path).ready
    assert ensure(cache=tmp_path).qemu.exists()
    assert parts.fetched.count("qemu") == 2


def test_two_at_once_build_it_once(parts: Parts, tmp_path: Path) -> None:
    threads = [threading.Thread(target=ensure, kwargs={"cache": tmp_path}) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(parts.fetched) == 5


def test_a_download_that_fails_says_why(parts: Parts, tmp_path: Path) -> None:
    parts.failing["packages"] = DependencyError("packages of Debian", found="no network")
    with pytest.raises(DependencyError, match="no network"):
        ensure(cache=tmp_path)


def test_a_board_whose_python_fails_is_not_kept(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "QEMU", "#!/bin/sh\necho 'illegal instruction' >&2\nexit 132\n")
    with pytest.raises(DependencyError, match="its Python ended with 132: illegal instruction"):
        ensure(cache=tmp_path)
    assert parts.fetched
    assert not environment_state(cache=tmp_path).ready


def test_its_state_says_what_is_there_and_what_would_change_it(parts: Parts, tmp_path: Path) -> None:
    before = environment_state(cache=tmp_path)
    assert (before.ready, before.size_bytes) == (False, 0)
    assert "`edgedistill devices emulate` builds it" in before.reason
    assert not parts.fetched
    built = ensure(cache=tmp_path)
    after = environment_state(cache=tmp_path)
    assert (after.ready, after.folder, after.reason) == (True, built.folder, "")
    assert after.size_bytes == len("python") + len(QEMU)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda m: m.setattr(platform, "machine", lambda: "arm64"), UnsupportedError, "wanted Linux on x86_64"),
        (lambda m: m.setattr(sys, "platform", "darwin"), UnsupportedError, "wanted Linux on x86_64"),
        (lambda m: m.setattr(arm_environment, "missing_tools", lambda: "no apt-get"), DependencyError, "no apt-get"),
        (lambda m: m.setattr(arm_environment.importlib.util, "find_spec", lambda _: None), DependencyError, "no pip"),
    ],
    ids=["other architecture", "other system", "no apt", "no pip"],
)
def test_what_cannot_be_had_here_is_said_before_any_download(
    parts: Parts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pytest.MonkeyPatch], None],
    error: type[EdgeDistillError],
    message: str,
) -> None:
    change(monkeypatch)
    with pytest.raises(error, match=message):
        ensure(cache=tmp_path)
    assert message in environment_state(cache=tmp_path).reason
    assert not parts.fetched


def test_no_room_is_said_before_any_download(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm_environment, "NEEDED_BYTES", shutil.disk_usage(tmp_path).total + 1)
    with pytest.raises(ResourceError, match="for the emulated board"):
        ensure(cache=tmp_path)
    assert not parts.fetched


def test_a_cache_that_cannot_be_written_is_the_users_problem(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "arm64").write_text("a file where a folder has to be")
    with pytest.raises(ResourceError, match="set EDGEDISTILL_CACHE"):
        ensure(cache=tmp_path)
    assert not parts.fetched


def test_other_versions_of_the_runtime_get_a_board_of_their_own(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = environment_state(cache=tmp_path).folder
    monkeypatch.setattr(arm_environment.metadata, "version", lambda _: "9.9.9+cpu")
    assert requirements() == ("onnxruntime==9.9.9", "numpy<=9.9.9")
    assert environment_state(cache=tmp_path).folder != first
    assert not parts.fetched


def test_the_boards_programs_see_nothing_of_this_processs_environment(parts: Parts, tmp_path: Path) -> None:
    built = ensure(cache=tmp_path)
    built.qemu.write_text("#!/bin/sh\n/usr/bin/env\n")
    done = built.run(built.python, (), cpu_model="max", folder=tmp_path, timeout_s=60)
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert seen["EDGEDISTILL_EMULATED"] == seen["ORT_DISABLE_TELEMETRY"] == "1"
    assert seen["HOME"] == str(tmp_path)
    assert set(seen) - {"PWD", "_", "SHLVL"} == OURS  # a shell adds three of its own
    assert parts.fetched
