"""trtexec's arguments by version, golden; and its files, whole and cut short."""

from pathlib import Path

import pytest

from edgedistill.targets.jetson_tensorrt.device import layers, sensors, trtexec
from edgedistill.targets.jetson_tensorrt.device.answer import GateError, InputError, TensorRtError
from edgedistill.targets.jetson_tensorrt.device.trtexec import Options

STRONG = {"file": "model.onnx", "precision": "int8", "typing": "strong", "calibration": None}
WEAK = {"file": "model_tensorrt8.onnx", "precision": "int8", "typing": "weak", "calibration": None}
FP16 = {"file": "model_fp16.onnx", "precision": "fp16", "typing": "strong", "calibration": None}
DLA = {"file": "model_dla.onnx", "precision": "int8", "typing": "weak", "calibration": "calibration.cache"}
ALWAYS = [
    "--memPoolSize=workspace:2048",
    "--builderOptimizationLevel=3",
    "--timingCacheFile=t.cache",
    "--profilingVerbosity=detailed",
    "--exportLayerInfo=l.json",
    "--skipInference",
]


def built(version: tuple[int, int], form: dict[str, object], options: Options = Options()) -> list[str]:  # noqa: B008 - a value
    place = Path("a")
    return trtexec.build_arguments(
        version, form, options, folder=place, plan=Path("m.plan"), cache=Path("t.cache"), layers=Path("l.json")
    )


@pytest.mark.parametrize(
    ("version", "form", "chosen"),
    [
        ((8, 6), WEAK, ["--int8", "--fp16"]),
        ((8, 6), FP16, ["--fp16"]),
        ((10, 3), STRONG, ["--stronglyTyped"]),
        ((10, 13), STRONG, ["--stronglyTyped"]),
        ((10, 16), FP16, ["--stronglyTyped"]),
        ((11, 4), STRONG, []),
        ((11, 4), FP16, []),
    ],
)
def test_build_arguments(version: tuple[int, int], form: dict[str, object], chosen: list[str]) -> None:
    assert built(version, form) == [f"--onnx=a/{form['file']}", "--saveEngine=m.plan", *chosen, *ALWAYS]


def test_build_arguments_for_an_accelerator() -> None:
    assert built((10, 3), DLA, Options(dla_core=0)) == [
        "--onnx=a/model_dla.onnx",
        "--saveEngine=m.plan",
        "--int8",
        "--fp16",
        *ALWAYS,
        "--calib=a/calibration.cache",
        "--precisionConstraints=prefer",
        "--useDLACore=0",
        "--allowGPUFallback",
    ]


def test_types_chosen_by_the_builder_are_no_more_in_11() -> None:
    with pytest.raises(InputError, match="which TensorRT 11 does not do"):
        built((11, 4), WEAK)


@pytest.mark.parametrize(
    ("version", "flags"),
    [
        ((8, 6), ["--useCudaGraph", "--useSpinWait", "--noDataTransfers"]),
        ((10, 3), ["--useCudaGraph", "--useSpinWait", "--noDataTransfers"]),
        ((11, 4), []),
    ],
)
def test_run_arguments(version: tuple[int, int], flags: list[str]) -> None:
    assert trtexec.run_arguments(version, Options(), plan=Path("m.plan"), times=Path("t.json")) == [
        "--loadEngine=m.plan",
        *flags,
        "--warmUp=2000",
        "--duration=10",
        "--iterations=200",
        "--exportTimes=t.json",
    ]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("8.6.2", (8, 6, 2)),
        ("10.3.0.30", (10, 3, 0)),
        ("v8602", (8, 6, 2)),
        ("v100300", (10, 3, 0)),
        ("v110401", (11, 4, 1)),
    ],
)
def test_versions(text: str, numbers: tuple[int, ...]) -> None:
    assert trtexec.version_from(text) == numbers


def test_a_file_that_is_cut_short_is_told(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_text('[\n  { "startEnqMs" : 1.0, "computeMs"')
    with pytest.raises(TensorRtError, match="cut short"):
        trtexec.times_from(path)


def test_rows_without_a_time_are_told(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_text('[{"startInMs": 1.0, "inMs": 2.0}]')
    with pytest.raises(TensorRtError, match="without startComputeMs"):
        trtexec.times_from(path)


NEW = {"Layers": [{"Name": "a_myl0_1", "LayerType": "correlation", "Inputs": [{"Datatype": "Int8"}]}]}
NEW["Layers"][0]["Metadata"] = "[ONNX Layer: conv][ONNX Layer: dequantize]"
OLD = {
    "Layers": [
        {"Name": "Reformat", "LayerType": "Reformat", "Inputs": [{"Format/Datatype": "Row major FP16 format"}]},
        {
            "Name": "conv + relu",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
        },
        {"Name": "fc", "LayerType": "CaskGemm", "Inputs": [{"Format/Datatype": "Row major linear FP16 format"}]},
    ]
}


def test_layers_of_11_and_of_8() -> None:
    assert layers.placement(NEW, ["conv"]).int8 == ["conv"]
    found = layers.placement(OLD, ["conv", "fc", "gone"])
    assert (found.int8, found.floating, found.missing) == (["conv"], {"fc": "fp16"}, ["gone"])
    with pytest.raises(GateError, match=r"1 layer\(s\) run in float, not in INT8: fc \(fp16\)"):
        layers.require_int8(found)


def test_layers_without_detail_are_told() -> None:
    with pytest.raises(TensorRtError, match="profilingVerbosity=detailed"):
        layers.placement({"Layers": ["conv + relu"]}, ["conv"])


LINE = (
    "11-24-2026 08:00:00 RAM 2000/7620MB (lfb 10x4MB) SWAP 0/3810MB (cached 0MB) CPU [10%@1510,off] EMC_FREQ 3%@2133 "
    "GR3D_FREQ 90%@[1020,1019] cpu@55.0C tboard@-256C tj@57.5C VDD_IN 7012mW/6900mW VDD_SOC 0mW/0mW"
)


def test_a_line_of_tegrastats() -> None:
    assert [tuple(reading) for reading in sensors.tegrastats_readings(LINE)] == [
        ("power_w", "VDD_IN", 7.012),
        ("temperature_c", "cpu", 55.0),
        ("temperature_c", "tj", 57.5),
        ("frequency_mhz", "gpu", 1020.0),
        ("frequency_mhz", "cpu0", 1510.0),
    ]


def test_sysfs(tmp_path: Path) -> None:
    files = {
        "sys/class/thermal/thermal_zone0/temp": "55500",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
        "sys/class/hwmon/hwmon1/name": "ina3221",
        "sys/class/hwmon/hwmon1/in1_label": "VDD_IN",
        "sys/class/hwmon/hwmon1/in1_input": "5000",
        "sys/class/hwmon/hwmon1/curr1_input": "1500",
        "sys/class/devfreq/17000000.gpu/cur_freq": "1020000000",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert [tuple(reading) for reading in sensors.sysfs_readings(tmp_path)] == [
        ("temperature_c", "thermal_zone0 cpu-thermal", 55.5),
        ("power_w", "ina3221 VDD_IN", 7.5),
        ("frequency_mhz", "gpu", 1020.0),
    ]
