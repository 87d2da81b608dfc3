"""Quantizes an ONNX file with NVIDIA's Model Optimizer: modelopt_onnx.py MODEL.onnx SAMPLES.npy INTO.onnx."""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from modelopt.onnx.quantization import quantize

model, samples, into = sys.argv[1:]
quantize(
    onnx_path=model,
    quantize_mode="int8",
    calibration_data={"input": np.load(samples)},
    calibration_eps=["cpu"],
    output_path=into,
)
Path(f"{into}.txt").write_text(f"NVIDIA Model Optimizer {version('nvidia-modelopt')} on ONNX, INT8 defaults")
