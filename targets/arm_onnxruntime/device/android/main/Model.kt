package {{package}}

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import android.content.Context
import java.nio.FloatBuffer
import java.nio.IntBuffer
import java.security.MessageDigest

/** The model `{{name}}` in ONNX Runtime's CPU provider. Close it when it is not needed any more. */
class Model(context: Context, threads: Int = 1) : AutoCloseable {
    private val bytes = context.assets.open("$FOLDER/$MODEL").use { it.readBytes() }
    val card = ModelCard(context.assets.open("$FOLDER/model.json").use { it.readBytes().decodeToString() })
    private val environment = OrtEnvironment.getEnvironment()
    private val session: OrtSession = OrtSession.SessionOptions().use { options ->
        options.setIntraOpNumThreads(threads)
        options.setInterOpNumThreads(1)
        environment.createSession(bytes, options)
    }

    /** Outputs of one sample, preprocessed. */
    fun outputs(values: FloatArray): FloatArray {
        require(values.size == card.sampleCount) { "${values.size} numbers; wanted ${card.sampleCount}" }
        return OnnxTensor.createTensor(environment, FloatBuffer.wrap(values), shape()).use { run(it) }
    }

    /** Outputs of one text, by its tokens. */
    fun outputs(tokens: IntArray): FloatArray {
        require(tokens.size == card.sampleCount) { "${tokens.size} tokens; wanted ${card.sampleCount}" }
        return OnnxTensor.createTensor(environment, IntBuffer.wrap(tokens), shape()).use { run(it) }
    }

    /** Whether the model is the file that was built. */
    fun isWhatWasBuilt(): Boolean {
        val digest = MessageDigest.getInstance("SHA-256").digest(bytes)
        return digest.joinToString("") { "%02x".format(it) } == card.modelSha256
    }

    override fun close() = session.close()

    private fun shape(): LongArray = longArrayOf(1) + card.inputShape.map { it.toLong() }.toLongArray()

    private fun run(input: OnnxTensor): FloatArray = session.run(mapOf(card.inputName to input)).use { result ->
        val buffer = (result[0] as OnnxTensor).floatBuffer
        FloatArray(buffer.remaining()).also { buffer.get(it) }
    }

    companion object {
        const val FOLDER = "{{module}}"
        const val MODEL = "model.onnx"
    }
}
