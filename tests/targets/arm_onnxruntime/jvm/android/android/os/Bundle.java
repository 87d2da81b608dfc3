// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package android.os;

import org.jetbrains.annotations.Nullable;

/** Holds what the system properties say. */
public final class Bundle {
    @Nullable
    public String getString(@Nullable String key) {
        return System.getProperty("argument." + key);
    }
}
