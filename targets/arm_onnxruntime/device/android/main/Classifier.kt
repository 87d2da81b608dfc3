package {{package}}

import android.content.Context
//: image
import android.graphics.Bitmap
//: end
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext

/**
 * The model `{{name}}` as a classifier; preprocessing is that of training.
 *
 *     val classifier = Classifier.load(context)
 *     val prediction = classifier.predict({{sample}})
 *
 * Safe to call from the main thread: a coroutine computes elsewhere. Keep one classifier, and close it in the end.
 */
public class Classifier(public val model: Model) : AutoCloseable {
    public val card: ModelCard get() = model.card
    //: image
    private val preprocessing = Preprocessing(model.card)

    /** Classifies an image of any size; its orientation is the caller's to apply. */
    public suspend fun predict(bitmap: Bitmap): Prediction = prediction {
        val fitting = bitmap.pixels(preprocessing.height, preprocessing.width, preprocessing.channels)
        model.outputs(preprocessing.image(fitting))
    }

    /** Classifies pixels of any size. */
    public suspend fun predict(pixels: Pixels): Prediction = prediction { model.outputs(preprocessing.image(pixels)) }
    //: end
    //: array
    private val preprocessing = Preprocessing(model.card)

    /** Classifies an array: a sensor's window, a vector of features; not normalised. */
    public suspend fun predict(values: FloatArray): Prediction = prediction { model.outputs(preprocessing.array(values)) }
    //: end
    //: text
    /** Classifies a text by its tokens, as many as `card.inputShape` says; the tokenizer is the app's. */
    public suspend fun predict(tokens: IntArray): Prediction = prediction { model.outputs(tokens) }
    //: end

    override fun close(): Unit = model.close()

    private suspend fun prediction(outputs: () -> FloatArray): Prediction =
        withContext(Dispatchers.Default) { Prediction(card.classes, outputs()) }

    public companion object {
        /** Loads the model; see [Model.load]. */
        public suspend fun load(context: Context, threads: Int = 1): Classifier =
            withContext(Dispatchers.Default) { Classifier(Model.load(context, threads)) }
    }
}
