// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package android.content;

public abstract class BroadcastReceiver {}
