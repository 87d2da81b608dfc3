package {{package}}

import org.json.JSONArray

/** From a raw sample to the model's input, each operation on its own: a fused one would round differently. */
internal class Preprocessing(private val card: ModelCard) {
    private val scale = card.preprocessing.getDouble("scale").toFloat()
    private val mean = floats(card.preprocessing.getJSONArray("mean"))
    private val std = floats(card.preprocessing.getJSONArray("std"))

    //: image
    val channels: Int = card.preprocessing.getInt("channels")
    val height: Int = card.preprocessing.getJSONArray("size").getInt(0)
    val width: Int = card.preprocessing.getJSONArray("size").getInt(1)
    private val normalised = List(channels) { channel -> FloatArray(256) { normalised(it.toFloat(), channel) } }

    /** `(pixel * scale - mean) / std` of an image of any size: channels, rows, columns. */
    fun image(pixels: Pixels): FloatArray {
        require(pixels.channels == channels) { "an image of ${pixels.channels} channels; wanted $channels" }
        val fitting = pixels.resized(height, width)
        val plane = height * width
        return FloatArray(plane * channels) { place ->
            val channel = place / plane
            normalised[channel][fitting.bytes[place % plane * channels + channel].toInt() and 0xFF]
        }
    }
    //: end
    //: array
    /** `(x * scale - mean) / std` along the last axis of an array. */
    fun array(values: FloatArray): FloatArray {
        require(values.size == card.inputCount) { "${values.size} numbers; wanted ${card.wanted}" }
        val last = card.inputShape.last()
        return FloatArray(values.size) { normalised(values[it], it % last) }
    }
    //: end

    private fun normalised(value: Float, index: Int): Float {
        val scaled = value * scale
        val centred = scaled - mean[index % mean.size]
        return centred / std[index % std.size]
    }

    private fun floats(numbers: JSONArray) = FloatArray(numbers.length()) { numbers.getDouble(it).toFloat() }
}
