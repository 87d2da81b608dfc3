"""The forms of one network that TensorRT's versions want: one pass per file, one function `pass(model) -> modified`."""
