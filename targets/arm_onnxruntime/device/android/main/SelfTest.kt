package {{package}}

import android.content.Context
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.math.max

/** How the golden samples came out on this device. */
public class SelfTest internal constructor(
    /** Golden samples that were computed. */
    public val samples: Int,
    /** Largest difference of an output, in output steps. */
    public val largestSteps: Float,
    /** Largest one that is allowed. */
    public val maxSteps: Float,
    /** Share of the outputs with identical bits, 0 to 1. */
    public val identicalOutputs: Float,
    /** Samples that were given another class than on the workstation. */
    public val changedClasses: Int,
) {
    public val passed: Boolean get() = changedClasses == 0 && largestSteps <= maxSteps + 1e-3f

    override fun toString(): String =
        "$samples golden samples: up to $largestSteps of $maxSteps output steps apart, $changedClasses with another class"

    public companion object {
        /**
         * Loads the model, computes the golden samples from raw ones, and compares the outputs with the workstation's.
         *
         * Blocks, and reads the whole model once more for its hash: for tests and for diagnosis, not for every start.
         *
         * @throws IllegalStateException the assets are not what was built.
         */
        @JvmStatic
        @JvmOverloads
        public fun run(context: Context, threads: Int = 1): SelfTest {
            val assets = ModelAssets(context)
            check(assets.modelIsWhatWasBuilt()) { "asset '${assets.card.model}' is not the file that model.json tells of" }
            return Model.load(context, threads).use { compared(it, GoldenSamples(assets)) }
        }

        internal fun compared(model: Model, golden: GoldenSamples): SelfTest {
            val card = model.card
            var largest = 0f
            var identical = 0
            var changed = 0
            for (index in 0 until card.goldenCount) {
                val expected = golden.expected(index)
                val found = golden.outputs(model, index)
                for (place in expected.indices) {
                    val steps = abs(found[place] - expected[place]) / card.step
                    largest = max(largest, if (steps.isNaN()) Float.POSITIVE_INFINITY else steps)
                    if (found[place].toRawBits() == expected[place].toRawBits()) identical++
                }
                if (card.classes.isNotEmpty() && classOf(found) != classOf(expected)) changed++
            }
            val share = identical.toFloat() / (card.goldenCount * card.outputCount)
            return SelfTest(card.goldenCount, largest, card.maxSteps, share, changed)
        }

        private fun classOf(outputs: FloatArray): Int = outputs.indices.maxBy { outputs[it] }
    }
}

/** Raw samples with the outputs that the workstation computed. */
internal class GoldenSamples(assets: ModelAssets) {
    private val card = assets.card
    private val raw = assets.bytes("golden-inputs.bin")
    private val outputs = assets.bytes("golden-outputs.bin")
    //: image
    private val rawBytes = card.inputCount
    //: end
    //: array
    private val rawBytes = card.inputCount * Float.SIZE_BYTES
    //: end
    //: text
    private val rawBytes = card.inputCount * Int.SIZE_BYTES
    //: end

    init {
        check(raw.size == card.goldenCount * rawBytes && outputs.size == card.goldenCount * card.outputCount * Float.SIZE_BYTES) {
            "the golden samples and model.json are not of one build"
        }
    }

    /** Outputs of one sample, as the workstation computed them. */
    fun expected(index: Int): FloatArray {
        val numbers = part(outputs, index, card.outputCount * Float.SIZE_BYTES).asFloatBuffer()
        return FloatArray(card.outputCount).also { numbers.get(it) }
    }

    /** What the model gives for one sample. */
    fun outputs(model: Model, index: Int): FloatArray = model.outputs(input(index))

    //: image
    /** The model's input of one sample. */
    fun input(index: Int): FloatArray = Preprocessing(card).image(pixels(index))

    /** One sample, at the model's size. */
    fun pixels(index: Int): Pixels {
        val preprocessing = Preprocessing(card)
        val bytes = raw.copyOfRange(index * rawBytes, (index + 1) * rawBytes)
        return Pixels(preprocessing.height, preprocessing.width, preprocessing.channels, bytes)
    }
    //: end
    //: array
    /** The model's input of one sample. */
    fun input(index: Int): FloatArray = Preprocessing(card).array(values(index))

    /** One sample, not normalised. */
    fun values(index: Int): FloatArray {
        val numbers = part(raw, index, rawBytes).asFloatBuffer()
        return FloatArray(card.inputCount).also { numbers.get(it) }
    }
    //: end
    //: text
    /** One sample, and the model's input: its tokens. */
    fun input(index: Int): IntArray {
        val numbers = part(raw, index, rawBytes).asIntBuffer()
        return IntArray(card.inputCount).also { numbers.get(it) }
    }
    //: end

    private fun part(bytes: ByteArray, index: Int, length: Int): ByteBuffer =
        ByteBuffer.wrap(bytes, index * length, length).order(ByteOrder.LITTLE_ENDIAN)
}
