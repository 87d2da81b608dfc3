// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package android.app;

import android.content.BroadcastReceiver;
import android.content.Context;
import android.content.Intent;
import android.content.IntentFilter;
import android.content.res.AssetManager;
import android.os.BatteryManager;
import android.os.PowerManager;
import java.nio.file.Paths;

/** The property "assets" names the folder of the assets. */
public class Instrumentation {
    public Context getTargetContext() {
        return new Context() {
            @Override
            public AssetManager getAssets() {
                return new AssetManager(Paths.get(System.getProperty("assets")));
            }

            @Override
            public Object getSystemService(String name) {
                return new PowerManager();
            }

            @Override
            public Intent registerReceiver(BroadcastReceiver receiver, IntentFilter filter) {
                return new Intent().putExtra(BatteryManager.EXTRA_TEMPERATURE, 251).putExtra(BatteryManager.EXTRA_PLUGGED, 0);
            }
        };
    }
}
