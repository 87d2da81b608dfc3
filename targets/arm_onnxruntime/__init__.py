"""ONNX Runtime on ARM CPUs: boards and phones."""
