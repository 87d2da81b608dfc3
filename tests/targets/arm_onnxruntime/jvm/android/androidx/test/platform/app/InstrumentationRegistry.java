// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package androidx.test.platform.app;

import android.app.Instrumentation;
import android.os.Bundle;

public final class InstrumentationRegistry {
    public static Instrumentation getInstrumentation() {
        return new Instrumentation();
    }

    public static Bundle getArguments() {
        return new Bundle();
    }
}
