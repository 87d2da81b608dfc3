package {{package}}

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

/** Cosines of known angles; runs on the workstation, without a device. */
class EmbedderTest {
    @Test
    fun similarityIsTheCosine() {
        assertEquals(0.6f, Embedder.similarity(floatArrayOf(2f, 0f), floatArrayOf(3f, 4f)), 1e-6f)
        assertEquals(-1f, Embedder.similarity(floatArrayOf(1f, 1f), floatArrayOf(-2f, -2f)), 1e-6f)
        assertEquals(0f, Embedder.similarity(floatArrayOf(0f, 0f), floatArrayOf(1f, 1f)), 0f)
    }

    @Test
    fun vectorsOfOtherLengthsAreRefused() {
        assertThrows(IllegalArgumentException::class.java) { Embedder.similarity(FloatArray(2), FloatArray(3)) }
    }
}
