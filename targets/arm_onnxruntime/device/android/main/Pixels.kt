package {{package}}

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

/** Pixels, 8 bits each: rows from the top, channels interleaved (grey, or red, green, blue). */
public class Pixels(
    public val height: Int,
    public val width: Int,
    public val channels: Int,
    public val bytes: ByteArray,
) {
    init {
        require(height > 0 && width > 0 && bytes.size.toLong() == height.toLong() * width * channels) {
            "${bytes.size} bytes; wanted $height x $width pixels of $channels channels"
        }
    }

    /** Antialiased bilinear resizing in whole numbers: the same bytes as on the workstation. */
    public fun resized(newHeight: Int, newWidth: Int): Pixels {
        if (height == newHeight && width == newWidth) return this
        val line = width * channels
        return resized(height, width, channels, newHeight, newWidth) { row, into ->
            bytes.copyInto(into, 0, row * line, (row + 1) * line)
        }
    }

    /** Reads rows of a picture one by one, so that it is never copied as a whole. */
    internal fun interface Rows {
        fun read(row: Int, into: ByteArray)
    }

    /** Which pixels of a line make one pixel of the resized line, from [start] on, and with what weights. */
    private class Taps(val start: Int, val weights: IntArray) {
        /** Blends bytes that lie [stride] apart; [offset] is the place of the line's first one. */
        fun blend(bytes: ByteArray, offset: Int, stride: Int): Byte {
            var total = 1 shl (PRECISION_BITS - 1)
            var place = offset + start * stride
            for (weight in weights) {
                total += (bytes[place].toInt() and 0xFF) * weight
                place += stride
            }
            return min(total shr PRECISION_BITS, 255).toByte()
        }
    }

    internal companion object {
        private const val PRECISION_BITS = 22

        /**
         * Makes pixels of another size from the rows of a picture.
         *
         * A triangle filter, stretched by the factor of reduction, across the columns and then down the rows, rounded after
         * each. Android's own scaling filters otherwise, and a model sees the difference.
         */
        fun resized(height: Int, width: Int, channels: Int, newHeight: Int, newWidth: Int, rows: Rows): Pixels {
            val line = ByteArray(width * channels)
            val newLine = newWidth * channels
            val narrowed = ByteArray(height * newLine)
            val across = if (width == newWidth) null else taps(width, newWidth)
            for (row in 0 until height) {
                rows.read(row, line)
                if (across == null) {
                    line.copyInto(narrowed, row * newLine)
                } else {
                    for (place in 0 until newLine) {
                        val taps = across[place / channels]
                        narrowed[row * newLine + place] = taps.blend(line, place % channels, channels)
                    }
                }
            }
            if (height == newHeight) return Pixels(height, newWidth, channels, narrowed)
            val down = taps(height, newHeight)
            val result = ByteArray(newHeight * newLine) { place ->
                down[place / newLine].blend(narrowed, place % newLine, newLine)
            }
            return Pixels(newHeight, newWidth, channels, result)
        }

        /** Takes a line of packed ARGB numbers as `Bitmap.getPixels` gives them; transparency is left out. */
        fun fromArgb(numbers: IntArray, channels: Int, into: ByteArray) {
            for ((place, number) in numbers.withIndex()) {
                val red = number shr 16 and 0xFF
                val green = number shr 8 and 0xFF
                val blue = number and 0xFF
                if (channels == 1) {
                    // luma of ITU-R BT.601 in 16-bit fractions, as Pillow's convert("L") computes it
                    into[place] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000 shr 16).toByte()
                } else {
                    into[3 * place] = red.toByte()
                    into[3 * place + 1] = green.toByte()
                    into[3 * place + 2] = blue.toByte()
                }
            }
        }

        /** Taps of every pixel of a line of [target] pixels that is made from one of [source] pixels. */
        private fun taps(source: Int, target: Int): List<Taps> {
            // lengths are in units of 1 / (2 * target) source pixels, so that nothing is rounded before the weights are
            val reach = 2L * max(source, target)
            val count = (reach + target - 1) / target + 1
            return List(target) { pixel ->
                val centre = (2L * pixel + 1) * source
                val first = (centre - reach - target).floorDiv(2L * target) + 1
                val used = (first until first + count).filter { it in 0 until source && height(it, target, centre, reach) > 0 }
                val heights = used.map { height(it, target, centre, reach) }
                val sum = heights.sum()
                val weights = IntArray(used.size) { ((heights[it].shl(PRECISION_BITS + 1) + sum) / (2 * sum)).toInt() }
                Taps(used.first().toInt(), weights)
            }
        }

        private fun height(place: Long, target: Int, centre: Long, reach: Long): Long =
            reach - abs((2 * place + 1) * target - centre)
    }
}
