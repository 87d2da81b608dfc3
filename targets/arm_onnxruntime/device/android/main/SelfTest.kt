package {{package}}

import android.content.Context
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.math.max

/** How the golden samples came out on this device. */
data class SelfTest(
    val samples: Int,
    val largestSteps: Float,
    val maxSteps: Float,
    val identicalOutputs: Float,
    val changedClasses: Int,
) {
    val passed: Boolean get() = changedClasses == 0 && largestSteps <= maxSteps + 1e-3f

    companion object {
        /** Computes the golden samples from raw ones, and compares the outputs with the workstation's. */
        fun run(model: Model, golden: GoldenSamples): SelfTest {
            check(model.isWhatWasBuilt()) { "the model is not the file that was built" }
            var largest = 0f
            var identical = 0
            var changed = 0
            for (index in 0 until golden.count) {
                val expected = golden.expected(index)
                val found = golden.outputs(model, index)
                for (place in expected.indices) {
                    val steps = abs(found[place] - expected[place]) / model.card.step
                    largest = if (steps.isNaN()) Float.POSITIVE_INFINITY else max(largest, steps)
                    if (found[place].toRawBits() == expected[place].toRawBits()) identical++
                }
                val sameClass = found.indices.maxBy { found[it] } == expected.indices.maxBy { expected[it] }
                if (model.card.classes.isNotEmpty() && !sameClass) changed++
            }
            val share = identical.toFloat() / (golden.count * model.card.outputCount)
            return SelfTest(golden.count, largest, model.card.maxSteps, share, changed)
        }
    }
}

/** Raw samples with the outputs that the workstation computed. */
class GoldenSamples(context: Context, private val card: ModelCard) {
    private val inputs = context.assets.open("${Model.FOLDER}/golden-inputs.bin").use { it.readBytes() }
    private val outputs = context.assets.open("${Model.FOLDER}/golden-outputs.bin").use { it.readBytes() }
    val count: Int get() = card.goldenCount

    init {
        val width = if (card.kind == ModelCard.Kind.IMAGE) 1 else 4
        check(inputs.size == count * card.sampleCount * width && outputs.size == count * card.outputCount * 4) {
            "golden samples are not what was built"
        }
    }

    /** Outputs of one sample. */
    fun expected(index: Int): FloatArray = floats(outputs, index * card.outputCount, card.outputCount)

    /** The model's input of one sample: numbers, or tokens. */
    fun input(index: Int): Any = when (card.kind) {
        ModelCard.Kind.IMAGE -> Preprocessing(card).image(pixels(index))
        ModelCard.Kind.ARRAY -> Preprocessing(card).array(floats(inputs, index * card.sampleCount, card.sampleCount))
        ModelCard.Kind.TEXT -> tokens(index)
    }

    /** What the model gives for one sample. */
    fun outputs(model: Model, index: Int): FloatArray = when (val input = input(index)) {
        is FloatArray -> model.outputs(input)
        else -> model.outputs(input as IntArray)
    }

    private fun pixels(index: Int): Pixels {
        val bytes = inputs.copyOfRange(index * card.sampleCount, (index + 1) * card.sampleCount)
        return Pixels(card.height, card.width, card.channels, bytes)
    }

    private fun tokens(index: Int): IntArray {
        val buffer = ByteBuffer.wrap(inputs, index * card.sampleCount * 4, card.sampleCount * 4)
        val numbers = buffer.order(ByteOrder.LITTLE_ENDIAN).asIntBuffer()
        return IntArray(card.sampleCount).also { numbers.get(it) }
    }

    private fun floats(bytes: ByteArray, start: Int, count: Int): FloatArray {
        val numbers = ByteBuffer.wrap(bytes, start * 4, count * 4).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(count).also { numbers.get(it) }
    }
}
