// Stand-in for tests: declarations from the documentation of ONNX Runtime's Java API, of what the module uses. It computes nothing.
package ai.onnxruntime;

public class OrtException extends Exception {
    public OrtException(String message) {
        super(message);
    }
}
