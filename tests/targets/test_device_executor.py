"""What an artifact's runner answers on a device becomes outputs, a failed gate, or an error that says the fix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from local_shell import near

from edgedistill.devices.base import Completed, Device, DeviceFacts
from edgedistill.devices.remote import RemoteDevice
from edgedistill.errors import DependencyError, DeviceError, GateError, UnreachableError, UnsupportedError
from edgedistill.evaluate.executor import Execution
from edgedistill.targets.base import Artifact, DeviceProfile
from edgedistill.targets.device_executor import DeviceExecutor

# a runner that doubles its inputs; `{end}` is what it does instead, if anything
RUNNER = """
import json, pathlib, sys
import numpy as np
with open(pathlib.Path(__file__).with_name("calls"), "a") as file:
    file.write(sys.argv[1] + "\\n")
{end}
if sys.argv[1] == "run":
    options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    np.save(options["--outputs"], np.load(options["--inputs"]) * 2)
print(json.dumps({{"ok": True}}))
"""
GATE = """print(json.dumps({"error": {"message": "file 'model.onnx' is missing"}})); sys.exit(3)"""
LACK = """print(json.dumps({"error": {"message": "onnxruntime cannot be loaded (none)"}})); sys.exit(2)"""


def artifact(folder: Path, *, end: str = "") -> Artifact:
    place = folder / "artifact"
    place.mkdir()
    (place / "runner.py").write_text(RUNNER.format(end=end))
    return Artifact(place, "arm-onnxruntime", "raspberry-pi-4", "model.onnx", ())


def executor(
    folder: Path, *, end: str = "", machine: str = "aarch64", device: RemoteDevice | None = None
) -> DeviceExecutor:
    found = device or near(folder)[0]
    facts = {"model": "Raspberry Pi 4 Model B", "onnxruntime": "1.22.0"}
    found.describe = lambda: DeviceFacts(found.name, machine, Execution.DEVICE, facts)  # type: ignore[method-assign] # a fake
    profile = DeviceProfile("raspberry-pi-4", "Raspberry Pi 4", {"machine": "aarch64"})
    return DeviceExecutor(artifact(folder, end=end), profile, found, folder / "work", 30.0)


def calls(device: Device) -> list[str]:
    assert isinstance(device, RemoteDevice)
    (place,) = Path(device.home / "files").glob("artifact-*")
    return (place / "calls").read_text().split()


def test_the_artifact_is_verified_once_and_then_run(tmp_path: Path) -> None:
    found = executor(tmp_path)
    inputs = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(found.run(inputs), inputs * 2)
    np.testing.assert_array_equal(found.run(inputs + 1), inputs * 2 + 2)
    assert calls(found.device) == ["verify", "run", "run"]
    assert found.label == "ONNX Runtime 1.22.0, Raspberry Pi 4 Model B, device (ssh://near)"


def test_inputs_and_outputs_do_not_stay_on_the_device(tmp_path: Path) -> None:
    found = executor(tmp_path)
    found.run(np.ones((1, 1), np.float32))
    assert isinstance(found.device, RemoteDevice)
    home = Path(found.device.home)
    assert not list(home.glob("files/inputs-*"))
    assert not list((home / "jobs").iterdir())
    assert not list((tmp_path / "work").rglob("outputs.npy"))


def test_another_machine_is_refused_before_anything_is_copied(tmp_path: Path) -> None:
    found = executor(tmp_path, machine="x86_64")
    with pytest.raises(UnsupportedError, match=r"x86_64; wanted aarch64.*Raspberry Pi 4"):
        found.run(np.ones((1, 1), np.float32))
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("end", "error", "words"),
    [
        (GATE, GateError, "artifact on ssh://near: file 'model.onnx' is missing"),
        (LACK, DependencyError, "onnxruntime cannot be loaded.*`edgedistill devices doctor ssh://near`"),
        ("import no_such_module", DependencyError, "No module named 'no_such_module'.*doctor"),
        ("sys.exit('broken')", DeviceError, "the runner ended with 1: broken"),
        ("print('no JSON'); sys.exit(0)", DeviceError, "the runner ended with 0: no JSON"),
        ("print('[]'); sys.exit(0)", DeviceError, "the runner ended with 0"),
    ],
)
def test_other_ends_say_what_happened(tmp_path: Path, end: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        executor(tmp_path, end=end).run(np.ones((1, 1), np.float32))


def test_what_happened_to_a_job_is_noted(tmp_path: Path) -> None:
    device, transport = near(tmp_path)
    found = executor(tmp_path, device=device)
    assert found.place
    shell, cuts = transport.shell, [UnreachableError("device", found="cut")]

    def once_cut(script: str, *, timeout_s: float) -> Completed:
        if " wait " in script and cuts:
            raise cuts.pop()
        return shell(script, timeout_s=timeout_s)

    transport.shell = once_cut  # type: ignore[method-assign] # a fault
    found.run(np.ones((1, 1), np.float32))
    assert [note.partition(" for ")[0] for note in found.notes] == ["the connection was lost"]
