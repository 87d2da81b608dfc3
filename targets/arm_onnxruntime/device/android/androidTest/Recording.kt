package {{package}}

import ai.onnxruntime.OrtEnvironment
import android.content.Context
import android.os.BatteryManager
import android.os.Build
import android.os.Bundle
import android.os.PowerManager
import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.TimeZone
import org.json.JSONArray
import org.json.JSONObject

/** What stands beside the samples: model, runtime, phone, protocol; schema `edgedistill.bench/1`. */
internal class Recording(
    private val context: Context,
    private val card: ModelCard,
    private val verified: SelfTest,
    private val arguments: Bundle,
) {
    private val started = SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss'Z'", Locale.ROOT)
        .apply { timeZone = TimeZone.getTimeZone("UTC") }
        .format(Date())

    /** The whole document around the samples of one process. */
    fun document(process: JSONObject, samples: Int, seconds: Double, threads: Int): JSONObject = JSONObject()
        .put("schema", "edgedistill.bench/1")
        .put("started", started)
        .put("artifact", artifact())
        .put("runtime", runtime(threads))
        .put("device", device())
        .put("workload", workload())
        .put("protocol", protocol(samples, seconds))
        .put("verified", golden())
        .put("processes", JSONArray().put(process))

    private fun artifact() = JSONObject()
        .put("name", card.name)
        .put("target", card.target)
        .put("profile", card.profile)
        .put("format", card.model.substringAfterLast('.'))
        .put("precision", card.precision)
        .put("model_sha256", card.modelSha256)
        .put("size_bytes", card.modelSizeBytes)

    private fun runtime(threads: Int) = JSONObject()
        .put("name", "onnxruntime")
        .put("version", OrtEnvironment.getEnvironment().version)
        .put("provider", "CPUExecutionProvider")
        .put("threads", threads)
        .put("options", JSONObject(card.sessionOptions(machine())))

    private fun workload() = JSONObject()
        .put("mode", "burst")
        .put("scenario", "single-stream")
        .put("batch", 1)
        .put("input", "real")
        .put("shape", JSONArray(listOf(1) + card.inputShape))
        .put("scope", "invoke+copies")

    private fun protocol(samples: Int, seconds: Double) = JSONObject()
        .put("runner", "LatencyBenchmark of {{module}}, edgedistill {{version}}")
        .put("min_samples", samples)
        .put("min_seconds", 0)
        .put("max_seconds", seconds)
        .put("clock", "System.nanoTime")

    private fun golden() = JSONObject()
        .put("golden_samples", verified.samples)
        .put("largest_steps", verified.largestSteps.toDouble())
        .put("max_steps", verified.maxSteps.toDouble())
        .put("identical_outputs", verified.identicalOutputs.toDouble())

    private fun device(): JSONObject {
        val emulated = Build.HARDWARE in setOf("goldfish", "ranchu") || Build.FINGERPRINT.startsWith("generic")
        val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager
        val plugged = battery(context)?.getIntExtra(BatteryManager.EXTRA_PLUGGED, -1) ?: -1
        val document = JSONObject()
            .put("kind", "android")
            .put("execution", if (emulated) "emulated" else "device")
            .put("name", arguments.getString("device") ?: Build.MODEL)
            .put("model", "${Build.MANUFACTURER} ${Build.MODEL}")
            .put("soc", if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) Build.SOC_MODEL else Build.HARDWARE)
            .put("machine", machine())
            .put("os", "Android ${Build.VERSION.RELEASE}")
            .put("cores", Runtime.getRuntime().availableProcessors())
            .put("power_mode", if (power.isPowerSaveMode) "power saving" else "normal")
        return if (plugged < 0) document else document.put("on_battery", plugged == 0)
    }
}
