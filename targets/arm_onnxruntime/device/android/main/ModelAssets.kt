package {{package}}

import android.content.Context
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import java.security.MessageDigest

/** The files of the model among the app's assets. */
internal class ModelAssets(context: Context) {
    private val assets = context.assets
    val card = ModelCard(bytes("model.json").decodeToString())

    /** The content of a file. */
    fun bytes(name: String): ByteArray = assets.open("$FOLDER/$name").use { it.readBytes() }

    /** The model's file, mapped where the app stores it as it is, else unpacked. */
    fun model(): ByteBuffer {
        val found = mapped(card.model) ?: unpacked(card.model)
        check(found.remaining().toLong() == card.modelSizeBytes) {
            "asset '$FOLDER/${card.model}': ${found.remaining()} bytes; model.json says ${card.modelSizeBytes}; " +
                "take both from one build"
        }
        return found
    }

    /** Whether the model is byte for byte the file that was built. */
    fun modelIsWhatWasBuilt(): Boolean {
        val digest = MessageDigest.getInstance("SHA-256").apply { update(model()) }.digest()
        return digest.joinToString("") { (it.toInt() and 0xFF).toString(16).padStart(2, '0') } == card.modelSha256
    }

    private fun mapped(name: String): ByteBuffer? = try {
        assets.openFd("$FOLDER/$name").use { file ->
            FileInputStream(file.fileDescriptor).use { stream ->
                stream.channel.map(FileChannel.MapMode.READ_ONLY, file.startOffset, file.declaredLength)
            }
        }
    } catch (notStoredAsItIs: FileNotFoundException) {
        null // the app's build compressed it, or it is not there, which `open` then says
    }

    private fun unpacked(name: String): ByteBuffer = bytes(name).let { content ->
        ByteBuffer.allocateDirect(content.size).also { it.duplicate().put(content) }
    }

    companion object {
        const val FOLDER = "{{module}}"
    }
}
