package {{package}}

import kotlin.math.exp

/** What the model says of one sample. */
public class Prediction internal constructor(private val classes: List<String>, public val logits: FloatArray) {
    init {
        check(logits.size == classes.size) { "${logits.size} outputs for ${classes.size} classes" }
    }

    /** Place of the most probable class in `ModelCard.classes`. */
    public val index: Int = logits.indices.maxBy { logits[it] }

    /** Name of the most probable class. */
    public val label: String get() = classes[index]

    /** Softmax of the logits, 0 to 1, in the order of `ModelCard.classes`. */
    public val probabilities: FloatArray by lazy {
        val exponentials = logits.map { exp((it - logits[index]).toDouble()) }
        val sum = exponentials.sum()
        FloatArray(logits.size) { (exponentials[it] / sum).toFloat() }
    }

    /** Probability of the most probable class. */
    public val probability: Float get() = probabilities[index]

    /** The most probable classes with their probabilities, the best first. */
    public fun best(count: Int): List<Pair<String, Float>> =
        classes.indices.sortedByDescending { logits[it] }.take(count).map { classes[it] to probabilities[it] }

    override fun toString(): String = "Prediction(label=$label, index=$index, probability=$probability)"
}
