package {{package}}

import org.json.JSONObject
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

/** Resizing gives the bytes that the workstation computed; runs on the workstation, without a device. */
class PixelsTest {
    @Test
    fun bytesAreThoseOfTheWorkstation() {
        val text = checkNotNull(javaClass.getResourceAsStream("/resize.json")).use { it.readBytes().decodeToString() }
        val fixture = JSONObject(text)
        val source = pixels(fixture.getJSONObject("source"))
        val resized = fixture.getJSONArray("resized")
        for (index in 0 until resized.length()) {
            val wanted = pixels(resized.getJSONObject(index))
            assertArrayEquals(wanted.bytes, source.resized(wanted.height, wanted.width).bytes)
        }
    }

    @Test
    fun greyIsTheLumaOfTheColours() {
        val found = ByteArray(3)
        Pixels.fromArgb(intArrayOf(0xFFFFFF, 0, 0xFF0000), 1, found)
        assertEquals(listOf(255, 0, 76), found.map { it.toInt() and 0xFF })
    }

    @Test
    fun coloursKeepTheirOrder() {
        val found = ByteArray(3)
        Pixels.fromArgb(intArrayOf(0x7F010203), 3, found)
        assertArrayEquals(byteArrayOf(1, 2, 3), found)
    }

    @Test
    fun bytesThatAreNoImageAreRefused() {
        assertThrows(IllegalArgumentException::class.java) { Pixels(2, 2, 3, ByteArray(11)) }
    }

    private fun pixels(described: JSONObject): Pixels {
        val numbers = described.getJSONArray("bytes")
        val bytes = ByteArray(numbers.length()) { numbers.getInt(it).toByte() }
        return Pixels(described.getInt("height"), described.getInt("width"), described.getInt("channels"), bytes)
    }
}
