// Stand-in for tests: declarations from the documentation of ONNX Runtime's Java API, of what the module uses. It computes nothing.
package ai.onnxruntime;

import java.nio.ByteBuffer;

public final class OrtEnvironment implements AutoCloseable {
    public static synchronized OrtEnvironment getEnvironment() {
        throw new UnsupportedOperationException();
    }

    public void setTelemetry(boolean sendTelemetry) throws OrtException {}

    public String getVersion() {
        throw new UnsupportedOperationException();
    }

    public OrtSession createSession(ByteBuffer modelBuffer, OrtSession.SessionOptions options) throws OrtException {
        throw new UnsupportedOperationException();
    }

    @Override
    public void close() {}
}
