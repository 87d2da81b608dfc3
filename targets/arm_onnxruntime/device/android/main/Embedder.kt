package {{package}}

import android.content.Context
//: image
import android.graphics.Bitmap
//: end
import kotlin.math.max
import kotlin.math.sqrt
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext

/**
 * The model `{{name}}` as an embedder: similar samples get vectors that point in similar directions.
 *
 *     val embedder = Embedder.load(context)
 *     val vector = embedder.embed({{sample}})
 *
 * Safe to call from the main thread: a coroutine computes elsewhere. Keep one embedder, and close it in the end.
 */
public class Embedder(public val model: Model) : AutoCloseable {
    public val card: ModelCard get() = model.card
    //: image
    private val preprocessing = Preprocessing(model.card)

    /** Embeds an image of any size; its orientation is the caller's to apply. */
    public suspend fun embed(bitmap: Bitmap): FloatArray = elsewhere {
        val fitting = bitmap.pixels(preprocessing.height, preprocessing.width, preprocessing.channels)
        model.outputs(preprocessing.image(fitting))
    }

    /** Embeds pixels of any size. */
    public suspend fun embed(pixels: Pixels): FloatArray = elsewhere { model.outputs(preprocessing.image(pixels)) }
    //: end
    //: array
    private val preprocessing = Preprocessing(model.card)

    /** Embeds an array: a sensor's window, a vector of features; not normalised. */
    public suspend fun embed(values: FloatArray): FloatArray = elsewhere { model.outputs(preprocessing.array(values)) }
    //: end
    //: text
    /** Embeds a text by its tokens, as many as `card.inputShape` says; the tokenizer is the app's. */
    public suspend fun embed(tokens: IntArray): FloatArray = elsewhere { model.outputs(tokens) }
    //: end

    override fun close(): Unit = model.close()

    private suspend fun elsewhere(outputs: () -> FloatArray): FloatArray = withContext(Dispatchers.Default) { outputs() }

    public companion object {
        /** Loads the model; see [Model.load]. */
        public suspend fun load(context: Context, threads: Int = 1): Embedder =
            withContext(Dispatchers.Default) { Embedder(Model.load(context, threads)) }

        /** Cosine of the angle between two vectors, -1 to 1. */
        @JvmStatic
        public fun similarity(first: FloatArray, second: FloatArray): Float {
            require(first.size == second.size) { "vectors of ${first.size} and ${second.size} numbers" }
            val lengths = sqrt(product(first, first)) * sqrt(product(second, second))
            return (product(first, second) / max(lengths, Double.MIN_VALUE)).toFloat()
        }

        private fun product(first: FloatArray, second: FloatArray): Double =
            first.indices.sumOf { first[it].toDouble() * second[it] }
    }
}
