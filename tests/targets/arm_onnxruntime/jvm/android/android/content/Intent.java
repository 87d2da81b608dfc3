// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package android.content;

import java.util.HashMap;
import java.util.Map;
import org.jetbrains.annotations.NotNull;

public class Intent {
    public static final String ACTION_BATTERY_CHANGED = "android.intent.action.BATTERY_CHANGED";
    private final Map<String, Integer> extras = new HashMap<>();

    @NotNull
    public Intent putExtra(String name, int value) {
        extras.put(name, value);
        return this;
    }

    public int getIntExtra(String name, int defaultValue) {
        return extras.getOrDefault(name, defaultValue);
    }
}
