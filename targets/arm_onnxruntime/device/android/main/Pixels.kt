package {{package}}

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

/** Pixels, 8 bits each: rows from the top, channels interleaved (grey, or red, green, blue). */
class Pixels(val height: Int, val width: Int, val channels: Int, val bytes: ByteArray) {
    init {
        require(height > 0 && width > 0 && bytes.size == height * width * channels) {
            "${bytes.size} bytes for $height x $width pixels of $channels channels"
        }
    }

    /**
     * Antialiased bilinear resizing in whole numbers: the same bytes as on the workstation.
     *
     * A triangle filter, stretched by the factor of reduction, across the columns and then down the rows, rounded after
     * each. Android's own scaling filters otherwise, and a model sees the difference.
     */
    fun resized(newHeight: Int, newWidth: Int): Pixels {
        val narrowed = if (width == newWidth) this else columns(newWidth)
        return if (narrowed.height == newHeight) narrowed else narrowed.rows(newHeight)
    }

    private fun columns(newWidth: Int): Pixels {
        val taps = taps(width, newWidth)
        val result = ByteArray(height * newWidth * channels)
        for (row in 0 until height) {
            for (column in 0 until newWidth) {
                for (channel in 0 until channels) {
                    result[(row * newWidth + column) * channels + channel] =
                        taps[column].blend { bytes[(row * width + it) * channels + channel] }
                }
            }
        }
        return Pixels(height, newWidth, channels, result)
    }

    private fun rows(newHeight: Int): Pixels {
        val taps = taps(height, newHeight)
        val line = width * channels
        val result = ByteArray(newHeight * line)
        for (row in 0 until newHeight) {
            for (place in 0 until line) {
                result[row * line + place] = taps[row].blend { bytes[it * line + place] }
            }
        }
        return Pixels(newHeight, width, channels, result)
    }

    /** Which pixels of a line make one pixel of the resized line, and with what weight. */
    class Taps(val indices: IntArray, val weights: IntArray) {
        inline fun blend(pixel: (Int) -> Byte): Byte {
            var total = 1 shl (PRECISION_BITS - 1)
            for (place in indices.indices) {
                total += (pixel(indices[place]).toInt() and 0xFF) * weights[place]
            }
            return min(total shr PRECISION_BITS, 255).toByte()
        }
    }

    companion object {
        const val PRECISION_BITS = 22

        /** Taps of every pixel of a line of [target] pixels that is made from one of [source] pixels. */
        fun taps(source: Int, target: Int): List<Taps> {
            // lengths are in units of 1 / (2 * target) source pixels, so that nothing is rounded before the weights are
            val reach = 2L * max(source, target)
            val count = ((reach + target - 1) / target + 1).toInt()
            return (0 until target).map { pixel ->
                val centre = (2L * pixel + 1) * source
                val first = Math.floorDiv(centre - reach - target, 2L * target).toInt() + 1
                val inside = (first until first + count).filter { it in 0 until source }
                val heights = inside.map { reach - abs((2L * it + 1) * target - centre) }
                val used = inside.indices.filter { heights[it] > 0 }
                val sum = used.sumOf { heights[it] }
                Taps(
                    IntArray(used.size) { inside[used[it]] },
                    IntArray(used.size) { (((heights[used[it]] shl (PRECISION_BITS + 1)) + sum) / (2 * sum)).toInt() },
                )
            }
        }

        /** Takes the pixels of packed ARGB numbers, as `Bitmap.getPixels` gives them. */
        fun fromArgb(numbers: IntArray, height: Int, width: Int, channels: Int): Pixels {
            val bytes = ByteArray(height * width * channels)
            for ((place, number) in numbers.withIndex()) {
                val red = number shr 16 and 0xFF
                val green = number shr 8 and 0xFF
                val blue = number and 0xFF
                if (channels == 1) {
                    // luma of ITU-R BT.601 in 16-bit fractions, as Pillow's convert("L") computes it
                    bytes[place] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000 shr 16).toByte()
                } else {
                    bytes[3 * place] = red.toByte()
                    bytes[3 * place + 1] = green.toByte()
                    bytes[3 * place + 2] = blue.toByte()
                }
            }
            return Pixels(height, width, channels, bytes)
        }
    }
}
