package {{package}}

import org.json.JSONArray
import org.json.JSONObject

/** What `model.json` says of the model: classes, preprocessing, golden samples. */
class ModelCard(text: String) {
    enum class Kind { IMAGE, ARRAY, TEXT }

    private val document = JSONObject(text)
    private val preprocessing = document.getJSONObject("preprocessing")
    private val golden = document.getJSONObject("golden")
    private val output = document.getJSONObject("output")

    val name: String = document.getString("name")
    val target: String = document.getString("target")
    val profile: String = document.getString("profile")
    val precision: String = document.getString("precision")
    val modelSha256: String = document.getString("model_sha256")
    val modelSizeBytes: Long = document.getLong("model_size_bytes")
    val inputName: String = document.getJSONObject("input").getString("name")

    /** Shape of one sample as the model takes it, without the batch. */
    val inputShape: List<Int> = document.getJSONObject("input").getJSONArray("shape").ints().drop(1)
    val classes: List<String> = document.getJSONArray("classes").texts()
    val kind: Kind = Kind.valueOf(preprocessing.getString("kind").uppercase())
    val channels: Int = preprocessing.optInt("channels", 3)
    val height: Int = preprocessing.optJSONArray("size")?.getInt(0) ?: 0
    val width: Int = preprocessing.optJSONArray("size")?.getInt(1) ?: 0
    val scale: Float = preprocessing.optDouble("scale", 1.0).toFloat()
    val mean: FloatArray = preprocessing.optJSONArray("mean")?.floats() ?: floatArrayOf(0f)
    val std: FloatArray = preprocessing.optJSONArray("std")?.floats() ?: floatArrayOf(1f)

    /** One output step: 1/255 of the range of the golden outputs. */
    val step: Float = output.getDouble("step").toFloat()
    val goldenCount: Int = golden.getInt("n")

    /** Output steps within which a golden output counts as equal. */
    val maxSteps: Float = golden.getDouble("max_steps").toFloat()

    val sampleCount: Int get() = inputShape.fold(1) { product, length -> product * length }
    val outputCount: Int = output.getJSONArray("shape").ints().drop(1).fold(1) { product, length -> product * length }

    private fun JSONArray.ints(): List<Int> = (0 until length()).map { optInt(it, 1) }

    private fun JSONArray.texts(): List<String> = (0 until length()).map { getString(it) }

    private fun JSONArray.floats(): FloatArray = FloatArray(length()) { getDouble(it).toFloat() }
}
