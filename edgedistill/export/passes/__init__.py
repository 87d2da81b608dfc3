"""Passes over an ONNX model: one file each, one function `pass(model) -> modified`."""
