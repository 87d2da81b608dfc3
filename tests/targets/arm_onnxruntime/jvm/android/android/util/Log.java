// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package android.util;

import java.nio.charset.StandardCharsets;
import org.jetbrains.annotations.NotNull;
import org.jetbrains.annotations.Nullable;

/** Prints as "logcat -v raw" does, and cuts a message off where a device's log does. */
public final class Log {
    private static final int LONGEST = 4068;

    public static int i(@Nullable String tag, @NotNull String message) {
        byte[] content = message.getBytes(StandardCharsets.UTF_8);
        int length = Math.min(content.length, LONGEST);
        System.err.println(new String(content, 0, length, StandardCharsets.UTF_8));
        return length;
    }
}
