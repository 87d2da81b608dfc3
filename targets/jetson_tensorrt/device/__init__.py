"""What runs on the Jetson module: Python 3.8 or newer with numpy and JetPack's own TensorRT; no torch, no onnx."""
