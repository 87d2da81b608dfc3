// Stand-in for tests: declarations from the documentation of ONNX Runtime's Java API, of what the module uses. It computes nothing.
package ai.onnxruntime;

import java.util.Map;

public class OrtSession implements AutoCloseable {
    public Result run(Map<String, ? extends OnnxTensorLike> inputs, Map<String, ? extends OnnxValue> pinnedOutputs)
            throws OrtException {
        throw new UnsupportedOperationException();
    }

    @Override
    public void close() throws OrtException {}

    public static class SessionOptions implements AutoCloseable {
        public void setIntraOpNumThreads(int numThreads) throws OrtException {}

        public void setInterOpNumThreads(int numThreads) throws OrtException {}

        public void addConfigEntry(String configKey, String configValue) throws OrtException {}

        @Override
        public void close() {}
    }

    public static class Result implements AutoCloseable {
        @Override
        public void close() {}
    }
}
