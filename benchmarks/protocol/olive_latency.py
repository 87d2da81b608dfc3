"""Olive's own latency metric of an ONNX model; prints its p50 in ms.

`OLIVE_PYTHON olive_latency.py MODEL SHAPE REPEATS`, started by `beside_olive.py`; Olive has an environment of its own.
"""

import json
import os
import sys
from importlib.metadata import version

os.environ["OLIVE_DISABLE_TELEMETRY"] = os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from olive.data.config import DataConfig
from olive.evaluator.metric import Metric
from olive.evaluator.olive_evaluator import OnnxEvaluator
from olive.model import ONNXModelHandler


def main() -> None:
    """Measure, and print one JSON document."""
    path, shape, repeats = sys.argv[1], [int(part) for part in sys.argv[2].split(",")], int(sys.argv[3])
    options = {
        "intra_op_num_threads": 1,
        "inter_op_num_threads": 1,
        "extra_session_config": {"session.x64quantprecision": "1"},
    }
    data = DataConfig(
        name="random",
        type="DummyDataContainer",
        load_dataset_config={"input_shapes": [[1, *shape]], "input_names": ["input"], "input_types": ["float32"]},
    )
    metric = Metric(
        name="latency",
        type="latency",
        sub_types=[{"name": "p50", "metric_config": {"warmup_num": 500, "repeat_test_num": repeats, "sleep_num": 0}}],
        data_config=data,
        user_config={"inference_settings": {"onnx": {"session_options": options}}},
    )
    found = OnnxEvaluator().evaluate(
        ONNXModelHandler(path), [metric], device="cpu", execution_providers=["CPUExecutionProvider"]
    )
    value = found["latency-p50"].value
    print(json.dumps({"p50_ms": value, "olive": version("olive-ai"), "onnxruntime": version("onnxruntime")}))


if __name__ == "__main__":
    main()
