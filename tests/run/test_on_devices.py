"""Steps on devices: one that fails stops no other, nothing that one gave is lost, and the summary says which."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from local_shell import LocalShell
from recipes import write_recipe

from edgedistill.bench.latency import PrecisionRecord
from edgedistill.bench.reading import recording_from_document
from edgedistill.devices.base import DeviceFacts
from edgedistill.devices.remote import RemoteDevice
from edgedistill.errors import GateError, InputError, UnfinishedError, UnreachableError
from edgedistill.evaluate.executor import Execution
from edgedistill.report.page import write_report
from edgedistill.run.pipeline import Stage, execute, plan, with_devices
from edgedistill.run.steps import on_devices
from edgedistill.run.summary import FILE, Summary, summary_from_file

if TYPE_CHECKING:
    from edgedistill.bench.on_device import Place, Settings
    from edgedistill.bench.recording import Recording
    from edgedistill.devices.inventory import Listed

STEP = "verify arm-onnxruntime/raspberry-pi-4 on devices"


class Desk:
    """Devices that are this machine and say that they are boards.

    Args:
        folder: for their homes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gone: set[str] = set()
        self.reached: list[str] = []
        self.spoilt = False

    def reach(self, item: Listed, *, progress: object = None) -> RemoteDevice:  # noqa: ARG002 - as inventory.reached
        self.reached.append(item.name)
        transport = LocalShell(self.folder / item.name.removeprefix("ssh://"), name=item.name)
        transport.folder.mkdir(exist_ok=True)
        device = RemoteDevice(transport, python=sys.executable)

        def describe() -> DeviceFacts:
            if item.name in self.gone:
                raise UnreachableError(f"device {item.name}", found="no route")
            return DeviceFacts(item.name, "aarch64", Execution.EMULATED, {"onnxruntime": "1.32.0"})

        device.describe = describe  # type: ignore[method-assign] # a board's
        return device


def recording(*, execution: str, name: str) -> Recording:
    """Return what a runner reports of two processes that are steady."""
    document = {
        "schema": "edgedistill.bench/1",
        "started": "2026-11-24T02:40:00Z",
        "artifact": {"name": "small", "format": "onnx", "model_sha256": "0" * 64, "size_bytes": 4096},
        "runtime": {"name": "onnxruntime", "version": "1.32.0", "provider": "CPUExecutionProvider", "threads": 1},
        "device": {"kind": "arm-linux", "execution": execution, "name": name, "machine": "aarch64"},
        "workload": {"batch": 1, "input": "real", "shape": [1, 8], "scope": "invoke+copies"},
        "protocol": {"runner": "a test", "min_samples": 100, "min_seconds": 0.0, "clock": "monotonic_ns"},
        "verified": {"golden_samples": 12, "largest_steps": 0.0, "max_steps": 1.0},
        "processes": [{"load_ns": 5_000_000, "first_ns": 2_000_000, "samples_ns": [1_000_000, 1_000_100] * 25}] * 2,
        "precisions": {"ship": "fp16", "int8_ms": [1.2, 1.2], "fp16_ms": [1.0, 1.0]},
    }
    return recording_from_document(document, thing="a test")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("devices")
    execute(plan(write_recipe(folder), overrides=[f"cache.folder={folder}"], folder=folder / "run", until=Stage.BUILD))
    return folder


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    found = Desk(tmp_path)
    monkeypatch.setattr(on_devices, "reached", found.reach)
    return found


def verified(folder: Path, *devices: str, samples: int = 50) -> Summary:
    overrides = [f"cache.folder={folder}", f"verify.samples={samples}"]
    planned = plan(
        folder / "recipe.yaml", overrides=with_devices(overrides, devices), folder=folder / "run", until=Stage.VERIFY
    )
    return execute(planned)


def test_every_device_has_its_gate_its_rung_its_facts_and_its_log(built: Path, desk: Desk) -> None:
    summary = verified(built, "ssh://a", "ssh://b")
    assert sorted(desk.reached) == ["ssh://a", "ssh://b"]
    parity = [pair for pair in summary.parity if pair.other.startswith("ssh://")]
    assert [(pair.other, pair.reference, pair.passed, pair.n) for pair in parity] == [
        ("ssh://a", "program", True, 50),
        ("ssh://b", "program", True, 50),
    ]
    assert sum(rung.execution is Execution.EMULATED for rung in summary.ladder) == 2
    assert [(record.device, record.error, record.machine) for record in summary.devices] == [
        ("ssh://a", None, "aarch64"),
        ("ssh://b", None, "aarch64"),
    ]
    assert summary.devices[0].facts == {"onnxruntime": "1.32.0"}
    assert "artifact is in" in (built / "run" / summary.devices[0].log_file).read_text()


def test_one_that_fails_stops_no_other_and_is_gone_on_with(built: Path, desk: Desk) -> None:
    desk.gone = {"ssh://d"}
    with pytest.raises(UnfinishedError, match=r"1 of 2 devices: device ssh://d: no route") as caught:
        verified(built, "ssh://c", "ssh://d", samples=40)
    assert caught.value.exit_code == 4
    summary = summary_from_file(built / "run" / FILE)
    assert [(record.device, record.execution, record.error) for record in summary.devices] == [
        ("ssh://c", Execution.EMULATED, None),
        ("ssh://d", Execution.NOT_RUN, "device ssh://d: no route."),
    ]
    assert [stage.state for stage in summary.stages if stage.name == STEP] == ["failed"]
    assert any("ssh://d FAILED" in note for note in summary.notes)
    desk.gone, desk.reached = set(), []
    again = verified(built, "ssh://c", "ssh://d", samples=40)
    assert desk.reached == ["ssh://d"]  # what the other gave was kept
    assert [record.error for record in again.devices] == [None, None]
    desk.reached = []
    verified(built, "ssh://c", "ssh://d", samples=40)
    assert desk.reached == []  # it is done


def test_an_artifact_that_is_spoilt_on_its_way_is_a_failed_gate(built: Path, desk: Desk) -> None:
    push = RemoteDevice.push

    def spoiling(device: RemoteDevice, folder: Path) -> object:
        place = push(device, folder)
        if (Path(place) / "model.onnx").exists():
            (Path(place) / "model.onnx").write_bytes(b"spoilt")
        return place

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RemoteDevice, "push", spoiling)
        with pytest.raises(GateError, match=r"artifact on ssh://e: file 'model\.onnx' has 6 bytes"):
            verified(built, "ssh://e", samples=30)
    assert desk.reached == ["ssh://e"]


def test_a_measurement_on_a_device_is_kept_and_an_emulated_one_has_no_latency(
    built: Path, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEDISTILL_RESULTS", str(tmp_path / "results"))
    asked: list[Settings] = []

    def measure(_artifact: Path, place: Place, settings: Settings) -> Recording:
        asked.append(settings)
        execution = "device" if place.device.name == "ssh://real" else "emulated"
        return recording(execution=execution, name=place.device.name)

    monkeypatch.setattr(on_devices, "measure_on_device", measure)
    overrides = [
        f"cache.folder={built}",
        "verify.samples=20",
        "bench.processes=2",
        "bench.samples=50",
        "bench.seconds=0",
    ]
    devices = ["ssh://real", "ssh://unreal"]
    chosen = with_devices(overrides, devices)
    summary = execute(plan(built / "recipe.yaml", overrides=chosen, folder=built / "run", until=Stage.BENCH))
    assert {(item.processes, item.samples, item.threads) for item in asked} == {(2, 100, 1)}
    places = [item.device for item in (*summary.latency, *summary.unsteady)]
    assert "ssh://real" in places
    assert "ssh://unreal" not in places
    (there,) = [item for item in summary.latency if item.device == "ssh://real"]
    assert there.precisions == PrecisionRecord(ship="fp16", int8_ms=1.2, fp16_ms=1.0, processes=2)
    page = write_report(built / "run").read_text("utf-8")
    assert page.count("On ssh://real (device): ship FP16: INT8 took 1.2 times as long") == 1
    assert any("ssh://unreal: it is emulated" in note for note in summary.notes)
    assert len(list((tmp_path / "results").rglob("*.json"))) == 2
    assert [(record.device, record.stage) for record in summary.devices if record.stage == "bench"] == [
        ("ssh://real", "bench"),
        ("ssh://unreal", "bench"),
    ]
    assert desk.gone == set()


def test_a_name_that_is_none_stops_the_run_before_it_begins(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(built))
    monkeypatch.setenv("EDGEDISTILL_CACHE", str(built))
    monkeypatch.chdir(built)
    with pytest.raises(InputError, match=r"device 'nobody': not in devices\.toml"):
        verified(built, "nobody")


def test_the_recipe_s_folder_may_have_an_inventory(built: Path, desk: Desk, tmp_path: Path) -> None:
    (built / "devices.toml").write_text('[devices.kitchen]\naddress = "ssh://pi@kitchen"\n')
    try:
        assert verified(built, "kitchen", samples=20).devices[0].device == "kitchen"
    finally:
        (built / "devices.toml").unlink()
    assert desk.reached == ["kitchen"]
    assert tmp_path.exists()


def test_devices_of_the_command_line_stand_for_the_recipe_s() -> None:
    assert with_devices(["a=1"], []) == ["a=1"]
    chosen = with_devices([], ["ssh://a", "b"])
    assert json.loads(chosen[0].removeprefix("bench.devices=")) == ["ssh://a", "b"]


def test_without_devices_nothing_of_them_is_planned(built: Path) -> None:
    planned = plan(built / "recipe.yaml", folder=built / "run")
    assert not [stage for stage in planned.stages if stage.on_devices]
