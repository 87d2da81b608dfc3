package {{package}}

/** From raw samples to the model's input, each operation on its own: a fused one would round differently. */
class Preprocessing(private val card: ModelCard) {
    /** `(pixel * scale - mean) / std` of an image of any size, as channels, rows, columns. */
    fun image(pixels: Pixels): FloatArray {
        require(card.kind == ModelCard.Kind.IMAGE && pixels.channels == card.channels) {
            "an image of ${pixels.channels} channels; wanted ${card.kind}, ${card.channels} channels"
        }
        val fitting = pixels.resized(card.height, card.width)
        val plane = card.height * card.width
        val result = FloatArray(plane * card.channels)
        for (channel in 0 until card.channels) {
            for (place in 0 until plane) {
                val pixel = (fitting.bytes[place * card.channels + channel].toInt() and 0xFF).toFloat()
                result[channel * plane + place] = normalised(pixel, channel)
            }
        }
        return result
    }

    /** `(x * scale - mean) / std` along the last axis of an array. */
    fun array(values: FloatArray): FloatArray {
        require(card.kind == ModelCard.Kind.ARRAY && values.size == card.sampleCount) {
            "${values.size} numbers; wanted ${card.sampleCount}"
        }
        return FloatArray(values.size) { normalised(values[it], it) }
    }

    private fun normalised(value: Float, index: Int): Float {
        val scaled = value * card.scale
        val centred = scaled - card.mean[index % card.mean.size]
        return centred / card.std[index % card.std.size]
    }
}
