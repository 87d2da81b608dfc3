// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package android.content.res;

import java.io.Closeable;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;
import org.jetbrains.annotations.NotNull;

public class AssetFileDescriptor implements Closeable {
    private final FileInputStream file;
    private final long startOffset;
    private final long length;

    AssetFileDescriptor(FileInputStream file, long startOffset, long length) {
        this.file = file;
        this.startOffset = startOffset;
        this.length = length;
    }

    @NotNull
    public FileDescriptor getFileDescriptor() {
        try {
            return file.getFD();
        } catch (IOException error) {
            throw new IllegalStateException(error);
        }
    }

    public long getStartOffset() {
        return startOffset;
    }

    public long getDeclaredLength() {
        return length;
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
