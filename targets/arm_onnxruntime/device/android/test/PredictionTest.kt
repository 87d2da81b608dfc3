package {{package}}

import kotlin.math.exp
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

/** From logits to a label; runs on the workstation, without a device. */
class PredictionTest {
    private val prediction = Prediction(listOf("a", "b", "c"), floatArrayOf(1f, 1000f, 999f))

    @Test
    fun theLargestLogitNamesTheClass() {
        assertEquals("b", prediction.label)
        assertEquals(1, prediction.index)
    }

    @Test
    fun probabilitiesAreTheSoftmaxEvenOfLargeLogits() {
        val wanted = (1 / (1 + exp(-1.0))).toFloat()
        assertEquals(wanted, prediction.probability, 1e-6f)
        assertEquals(1f, prediction.probabilities.sum(), 1e-6f)
    }

    @Test
    fun theBestComeFirst() {
        assertEquals(listOf("b", "c"), prediction.best(2).map { it.first })
    }

    @Test
    fun outputsOfAnotherModelAreRefused() {
        assertThrows(IllegalStateException::class.java) { Prediction(listOf("a"), floatArrayOf(0f, 1f)) }
    }
}
