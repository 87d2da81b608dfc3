// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package android.content.res;

import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jetbrains.annotations.NotNull;

/** Assets of a folder; with the property "compressed" they have no descriptor, as in an app that compresses them. */
public final class AssetManager {
    private static final int BEFORE = 61;
    private final Path folder;

    public AssetManager(Path folder) {
        this.folder = folder;
    }

    @NotNull
    public InputStream open(@NotNull String fileName) throws IOException {
        return new FileInputStream(folder.resolve(fileName).toFile());
    }

    /** An asset lies somewhere within the app's file: here too there are bytes before and after it. */
    @NotNull
    public AssetFileDescriptor openFd(@NotNull String fileName) throws IOException {
        if (Boolean.getBoolean("compressed")) {
            throw new FileNotFoundException("This file can not be opened as a file descriptor; it is probably compressed");
        }
        byte[] content = Files.readAllBytes(folder.resolve(fileName));
        byte[] app = new byte[BEFORE + content.length + BEFORE];
        System.arraycopy(content, 0, app, BEFORE, content.length);
        Path file = Files.createTempFile("app", ".apk");
        file.toFile().deleteOnExit();
        Files.write(file, app);
        return new AssetFileDescriptor(new FileInputStream(file.toFile()), BEFORE, content.length);
    }
}
