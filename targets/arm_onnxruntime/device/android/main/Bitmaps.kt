package {{package}}

import android.graphics.Bitmap
import android.os.Build

/** The bitmap's pixels at the model's size, read row by row; a hardware bitmap is copied into memory first. */
internal fun Bitmap.pixels(height: Int, width: Int, channels: Int): Pixels {
    require(!isRecycled) { "the bitmap is recycled" }
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.O && config == Bitmap.Config.HARDWARE) {
        val copied = checkNotNull(copy(Bitmap.Config.ARGB_8888, false)) { "the hardware bitmap cannot be copied" }
        return try {
            copied.pixels(height, width, channels)
        } finally {
            copied.recycle()
        }
    }
    val line = IntArray(this.width)
    return Pixels.resized(this.height, this.width, channels, height, width) { row, into ->
        getPixels(line, 0, this.width, 0, row, this.width, 1)
        Pixels.fromArgb(line, channels, into)
    }
}
