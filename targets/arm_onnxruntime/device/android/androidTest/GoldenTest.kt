package {{package}}

import android.content.Context
//: image
import android.graphics.Bitmap
import android.os.Build
//: end
import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
//: image
import org.junit.Assume.assumeTrue
import org.junit.AssumptionViolatedException
//: end
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
            val places = List(1000) { it % model.card.goldenCount }
            val alone = List(model.card.goldenCount) { golden.outputs(model, it) }
            val others = Executors.newFixedThreadPool(4)
            val found = others.invokeAll(places.map { Callable { golden.outputs(model, it) } }).map { it.get() }
            others.shutdown()
            places.zip(found).forEach { (place, outputs) -> assertArrayEquals(alone[place], outputs, 0f) }
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
    fun theApiGivesTheOutputsOfTheModel() {
        assertArrayEquals(alone(), answer(sample()), 0f)
    }

    //: image
    @Test
    fun aHardwareBitmapIsReadToo() {
        assumeTrue(Build.VERSION.SDK_INT >= Build.VERSION_CODES.O)
        val hardware = sample().copy(Bitmap.Config.HARDWARE, false) ?: throw AssumptionViolatedException("no such bitmap")
        assertArrayEquals(alone(), answer(hardware), 0f)
    }

    //: end
    private fun alone(): FloatArray = Model.load(context).use { golden.outputs(it, 0) }

    private fun answer(sample: {{sample_type}}): FloatArray = runBlocking {
        //: classification
        Classifier.load(context).use { it.predict(sample).logits }
        //: end
        //: embedding
        Embedder.load(context).use { it.embed(sample) }
        //: end
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
