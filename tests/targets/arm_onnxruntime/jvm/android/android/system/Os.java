// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package android.system;

/** A running Java machine cannot change its environment; the variable becomes a property. */
public final class Os {
    public static void setenv(String name, String value, boolean overwrite) throws ErrnoException {
        System.setProperty("environment." + name, value);
    }
}
