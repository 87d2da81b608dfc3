package {{package}}

import android.content.Context
import android.graphics.Bitmap
import kotlin.math.exp

/** What the model says of one sample. */
data class Prediction(val label: String, val index: Int, val probability: Float)

/**
 * The model `{{name}}` as a classifier; preprocessing is that of training.
 *
 *     Classifier(context).use { classifier -> classifier.predict(bitmap) }
 *
 * A call blocks; make it off the main thread.
 */
class Classifier(context: Context, threads: Int = 1) : AutoCloseable {
    val model = Model(context, threads)
    private val preprocessing = Preprocessing(model.card)

    /** Classifies an image of any size; its orientation is the caller's to apply. */
    fun predict(bitmap: Bitmap): Prediction {
        val numbers = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(numbers, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        return predict(Pixels.fromArgb(numbers, bitmap.height, bitmap.width, model.card.channels))
    }

    /** Classifies pixels of any size. */
    fun predict(pixels: Pixels): Prediction = prediction(model.outputs(preprocessing.image(pixels)))

    /** Classifies an array, not normalised. */
    fun predict(values: FloatArray): Prediction = prediction(model.outputs(preprocessing.array(values)))

    /** Classifies a text by its tokens; the tokenizer is the app's. */
    fun predict(tokens: IntArray): Prediction = prediction(model.outputs(tokens))

    override fun close() = model.close()

    private fun prediction(outputs: FloatArray): Prediction {
        val classes = model.card.classes
        check(outputs.size == classes.size) { "${outputs.size} outputs for ${classes.size} classes" }
        val index = outputs.indices.maxBy { outputs[it] }
        val sum = outputs.sumOf { exp((it - outputs[index]).toDouble()) }
        return Prediction(classes[index], index, (1.0 / sum).toFloat())
    }
}
