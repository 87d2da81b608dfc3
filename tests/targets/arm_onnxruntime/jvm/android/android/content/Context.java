// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package android.content;

import android.content.res.AssetManager;
import org.jetbrains.annotations.NotNull;
import org.jetbrains.annotations.Nullable;

public abstract class Context {
    public static final String POWER_SERVICE = "power";

    public abstract AssetManager getAssets();

    public abstract Object getSystemService(@NotNull String name);

    @Nullable
    public abstract Intent registerReceiver(@Nullable BroadcastReceiver receiver, IntentFilter filter);
}
