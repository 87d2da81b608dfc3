"""Quantizes an ONNX file with NNCF's defaults: nncf_onnx.py MODEL.onnx SAMPLES.npy INTO.onnx."""

import sys
from importlib.metadata import version
from pathlib import Path

import nncf
import numpy as np
import onnx

model, samples, into = sys.argv[1:]
dataset = nncf.Dataset([{"input": sample} for sample in np.load(samples)[:, None]])
onnx.save(nncf.quantize(onnx.load(model), dataset), into)
Path(f"{into}.txt").write_text(f"NNCF {version('nncf')} on ONNX, defaults")
