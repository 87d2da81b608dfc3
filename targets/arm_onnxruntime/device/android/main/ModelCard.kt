package {{package}}

import org.json.JSONArray
import org.json.JSONObject

/** What `model.json` says of the model: classes, preprocessing, golden samples. */
public class ModelCard internal constructor(text: String) {
    private val document = JSONObject(text)
    private val input = document.getJSONObject("input")
    private val output = document.getJSONObject("output")
    private val golden = document.getJSONObject("golden")
    internal val preprocessing: JSONObject = document.getJSONObject("preprocessing")

    public val name: String = document.getString("name")
    public val target: String = document.getString("target")
    public val profile: String = document.getString("profile")
    public val precision: String = document.getString("precision")

    /** Name of the model's file. */
    public val model: String = document.getString("model")
    public val modelSha256: String = document.getString("model_sha256")
    public val modelSizeBytes: Long = document.getLong("model_size_bytes")

    /** Names of the classes in the order of the outputs; none if the model embeds. */
    public val classes: List<String> = document.getJSONArray("classes").let { names ->
        List(names.length()) { names.getString(it) }
    }

    /** Shape of one input as the model takes it, without the batch. */
    public val inputShape: List<Int> = input.getJSONArray("shape").lengths()

    /** Shape of the outputs of one sample, without the batch. */
    public val outputShape: List<Int> = output.getJSONArray("shape").lengths()

    /** One output step: 1/255 of the range of the golden outputs. */
    public val step: Float = output.getDouble("step").toFloat()

    /** Output steps within which a golden output counts as equal. */
    public val maxSteps: Float = golden.getDouble("max_steps").toFloat()

    internal val goldenCount: Int = golden.getInt("n")
    internal val inputName: String = input.getString("name")
    internal val outputName: String = output.getString("name")
    internal val takesTokens: Boolean = input.getString("dtype") == "int32"
    internal val inputCount: Int = inputShape.fold(1, Int::times)
    internal val outputCount: Int = outputShape.fold(1, Int::times)
    internal val wanted: String = "$inputCount ${if (takesTokens) "tokens" else "numbers"}"

    /** Options of ONNX Runtime that the model needs on a machine: `aarch64`, `x86_64`. */
    internal fun sessionOptions(machine: String): Map<String, String> {
        val special = document.getJSONObject("session_options_by_machine").optJSONObject(machine)
        return listOfNotNull(document.getJSONObject("session_options"), special).fold(emptyMap()) { all, entries ->
            val names = entries.names() ?: JSONArray()
            all + List(names.length()) { names.getString(it) }.associateWith { entries.getString(it) }
        }
    }

    /** The numbers of a list without its first one, the batch. */
    private fun JSONArray.lengths(): List<Int> = (1 until length()).map { getInt(it) }
}
