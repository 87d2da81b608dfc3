package {{package}}

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import android.content.Context
import android.system.Os
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer

/**
 * The model `{{name}}` in ONNX Runtime's CPU provider: from preprocessed numbers to outputs.
 *
 * Every call blocks: make it off the main thread. Calls from several threads are carried out one after the other, and
 * [close] waits for the one that is under way; for inferences at the same time load several models.
 */
public class Model private constructor(public val card: ModelCard, private val session: OrtSession) : AutoCloseable {
    private val lock = Any()
    private val numbers = direct(card.inputCount)
    private val results = direct(card.outputCount).asFloatBuffer()
    private val tensors = Tensors(card, numbers, results)
    private var closed = false

    /** Outputs of one sample, preprocessed: `card.outputShape`, flat. */
    public fun outputs(values: FloatArray): FloatArray {
        require(!card.takesTokens && values.size == card.inputCount) { "${values.size} numbers; wanted ${card.wanted}" }
        return computed { it.asFloatBuffer().put(values) }
    }

    /** Outputs of one text by its tokens: `card.outputShape`, flat. */
    public fun outputs(tokens: IntArray): FloatArray {
        require(card.takesTokens && tokens.size == card.inputCount) { "${tokens.size} tokens; wanted ${card.wanted}" }
        return computed { it.asIntBuffer().put(tokens) }
    }

    override fun close(): Unit = synchronized(lock) {
        if (!closed) {
            closed = true
            tensors.close()
            session.close()
        }
    }

    private fun computed(fill: (ByteBuffer) -> Unit): FloatArray = synchronized(lock) {
        check(!closed) { "model '${card.name}' is closed" }
        fill(numbers)
        session.run(tensors.inputs, tensors.outputs).close()
        FloatArray(card.outputCount).also { results.duplicate().get(it) }
    }

    /** Input and output in memory that ONNX Runtime reads and writes itself, the same at every inference. */
    private class Tensors(card: ModelCard, numbers: ByteBuffer, results: FloatBuffer) : AutoCloseable {
        private val environment = OrtEnvironment.getEnvironment()
        private val output = OnnxTensor.createTensor(environment, results, batchOfOne(card.outputShape))
        private val input = if (card.takesTokens) {
            OnnxTensor.createTensor(environment, numbers.asIntBuffer(), batchOfOne(card.inputShape))
        } else {
            OnnxTensor.createTensor(environment, numbers.asFloatBuffer(), batchOfOne(card.inputShape))
        }
        val inputs: Map<String, OnnxTensor> = mapOf(card.inputName to input)
        val outputs: Map<String, OnnxTensor> = mapOf(card.outputName to output)

        override fun close() {
            input.close()
            output.close()
        }

        private fun batchOfOne(shape: List<Int>): LongArray = (listOf(1) + shape).map { it.toLong() }.toLongArray()
    }

    public companion object {
        /**
         * Loads the model from the assets.
         *
         * @param threads that one inference may use, at least 1.
         * @throws IllegalStateException the assets are not of one build, or ONNX Runtime refuses the model.
         */
        @JvmStatic
        @JvmOverloads
        public fun load(context: Context, threads: Int = 1): Model {
            require(threads >= 1) { "threads is $threads; wanted at least 1" }
            val assets = ModelAssets(context)
            val session = session(assets.model(), assets.card, threads)
            return try {
                Model(assets.card, session)
            } catch (error: Throwable) {
                session.close()
                throw error
            }
        }

        private fun session(model: ByteBuffer, card: ModelCard, threads: Int): OrtSession {
            // ONNX Runtime's own builds send usage data to Microsoft since 1.29 unless this is set before it is loaded
            Os.setenv("ORT_DISABLE_TELEMETRY", "1", true)
            val environment = OrtEnvironment.getEnvironment()
            environment.setTelemetry(false)
            return OrtSession.SessionOptions().use { options ->
                options.setIntraOpNumThreads(threads)
                options.setInterOpNumThreads(1)
                card.sessionOptions(machine()).forEach { (key, value) -> options.addConfigEntry(key, value) }
                try {
                    environment.createSession(model, options)
                } catch (error: OrtException) {
                    throw IllegalStateException("ONNX Runtime ${environment.version} refuses '${card.model}': $error", error)
                }
            }
        }

        private fun direct(count: Int): ByteBuffer =
            ByteBuffer.allocateDirect(count * Float.SIZE_BYTES).order(ByteOrder.nativeOrder())
    }
}

/** The processor as the model card calls it: an emulator on a PC is `x86_64`, which needs an option of its own. */
internal fun machine(): String = System.getProperty("os.arch").orEmpty().let { if (it == "amd64") "x86_64" else it }
