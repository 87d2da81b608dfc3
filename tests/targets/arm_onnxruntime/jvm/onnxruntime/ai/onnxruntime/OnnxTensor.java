// Stand-in for tests: declarations from the documentation of ONNX Runtime's Java API, of what the module uses. It computes nothing.
package ai.onnxruntime;

import java.nio.FloatBuffer;
import java.nio.IntBuffer;

public class OnnxTensor extends OnnxTensorLike {
    public static OnnxTensor createTensor(OrtEnvironment env, FloatBuffer data, long[] shape) throws OrtException {
        throw new UnsupportedOperationException();
    }

    public static OnnxTensor createTensor(OrtEnvironment env, IntBuffer data, long[] shape) throws OrtException {
        throw new UnsupportedOperationException();
    }

    @Override
    public synchronized void close() {}
}
