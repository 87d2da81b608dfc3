package {{package}}

import android.content.Context
//: image
import android.graphics.Bitmap
//: end
import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith

/** The model on the device computes what the workstation computed, also for several threads at a time. */
@RunWith(AndroidJUnit4::class)
class GoldenTest {
    private val context: Context = InstrumentationRegistry.getInstrumentation().targetContext
    private val golden = GoldenSamples(ModelAssets(context))

    @Test
    fun theModelComputesWhatWasBuilt() {
        val result = SelfTest.run(context)
        assertTrue("$result", result.passed)
    }

    @Test
    fun threadsWaitForEachOther() {
        Model.load(context).use { model ->
            val alone = golden.outputs(model, 0)
            val others = Executors.newFixedThreadPool(4)
            val found = others.invokeAll(List(32) { Callable { golden.outputs(model, 0) } }).map { it.get() }
            others.shutdown()
            found.forEach { assertArrayEquals(alone, it, 0f) }
        }
    }

    @Test
    fun aClosedModelSaysSo() {
        val model = Model.load(context)
        model.close()
        model.close()
        assertThrows(IllegalStateException::class.java) { golden.outputs(model, 0) }
    }

    @Test
    fun inputsOfAnotherLengthAreRefused() {
        Model.load(context).use { model ->
            assertThrows(IllegalArgumentException::class.java) { model.outputs(FloatArray(model.card.inputCount + 1)) }
            assertThrows(IllegalArgumentException::class.java) { model.outputs(IntArray(model.card.inputCount + 1)) }
        }
    }

    @Test
    fun theApiGivesTheOutputsOfTheModel(): Unit = runBlocking {
        //: classification
        val (found, alone) = Classifier.load(context).use { it.predict(sample()).logits to golden.outputs(it.model, 0) }
        //: end
        //: embedding
        val (found, alone) = Embedder.load(context).use { it.embed(sample()) to golden.outputs(it.model, 0) }
        //: end
        assertArrayEquals(alone, found, 0f)
    }

    //: image
    private fun sample(): Bitmap {
        val pixels = golden.pixels(0)
        val colours = IntArray(pixels.height * pixels.width) { place ->
            val (red, green, blue) = List(3) { channel ->
                pixels.bytes[place * pixels.channels + minOf(channel, pixels.channels - 1)].toInt() and 0xFF
            }
            0xFF shl 24 or (red shl 16) or (green shl 8) or blue
        }
        return Bitmap.createBitmap(colours, pixels.width, pixels.height, Bitmap.Config.ARGB_8888)
    }
    //: end
    //: array
    private fun sample(): FloatArray = golden.values(0)
    //: end
    //: text
    private fun sample(): IntArray = golden.input(0)
    //: end
}
