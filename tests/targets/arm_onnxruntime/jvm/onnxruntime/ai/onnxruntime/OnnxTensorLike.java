// Stand-in for tests: declarations from the documentation of ONNX Runtime's Java API, of what the module uses. It computes nothing.
package ai.onnxruntime;

public abstract class OnnxTensorLike implements OnnxValue {}
