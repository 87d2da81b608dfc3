// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package androidx.test.ext.junit.runners;

import org.junit.runners.BlockJUnit4ClassRunner;
import org.junit.runners.model.InitializationError;

public final class AndroidJUnit4 extends BlockJUnit4ClassRunner {
    public AndroidJUnit4(Class<?> testClass) throws InitializationError {
        super(testClass);
    }
}
