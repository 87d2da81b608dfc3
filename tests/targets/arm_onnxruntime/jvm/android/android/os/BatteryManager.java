// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package android.os;

public class BatteryManager {
    public static final String EXTRA_PLUGGED = "plugged";
    public static final String EXTRA_TEMPERATURE = "temperature";
}
