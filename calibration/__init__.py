"""Where quantization ranges come from."""
