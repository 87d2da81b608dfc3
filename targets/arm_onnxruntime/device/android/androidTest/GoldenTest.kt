package {{package}}

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith

@RunWith(AndroidJUnit4::class)
class GoldenTest {
    @Test
    fun theModelComputesWhatWasBuilt() {
        val context = InstrumentationRegistry.getInstrumentation().targetContext
        Model(context).use { model ->
            val result = SelfTest.run(model, GoldenSamples(context, model.card))
            assertTrue("$result", result.passed)
        }
    }
}
