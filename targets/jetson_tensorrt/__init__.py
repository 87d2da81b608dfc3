"""Target `jetson-tensorrt`: strongly typed INT8 models for TensorRT on NVIDIA Jetson modules."""
