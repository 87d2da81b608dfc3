// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package android.system;

public final class ErrnoException extends Exception {
    public ErrnoException(String functionName, int errno) {
        super(functionName + " failed: " + errno);
    }
}
