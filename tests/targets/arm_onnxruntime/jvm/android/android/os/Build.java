// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package android.os;

import org.jetbrains.annotations.NotNull;

/** An emulator on this machine: what is measured here says nothing of a phone. */
public class Build {
    @NotNull public static final String SOC_MODEL = "none";
    public static final String HARDWARE = "ranchu";
    public static final String FINGERPRINT = "generic/jvm";
    public static final String MANUFACTURER = "stand-in";
    public static final String MODEL = "Java virtual machine";

    public static class VERSION {
        public static final String RELEASE = "0";
        public static final int SDK_INT = Integer.getInteger("sdk", 35);
    }

    public static class VERSION_CODES {
        public static final int O = 26;
        public static final int Q = 29;
        public static final int S = 31;
    }
}
