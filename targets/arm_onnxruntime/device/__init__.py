"""The runner: what an artifact carries to the board. It needs Python 3.8, numpy and onnxruntime, and no edgedistill."""
