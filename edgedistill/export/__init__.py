"""From a quantized program or an fp32 module to ONNX."""
