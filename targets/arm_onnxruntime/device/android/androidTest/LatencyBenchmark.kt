package {{package}}

import ai.onnxruntime.OrtEnvironment
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import android.util.Log
import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import java.io.File
import java.time.Instant
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith

/**
 * Measures load, first and steady latency; prints one line of JSON, schema `edgedistill.bench/1`, to the log.
 *
 * Nothing is measured unless the golden samples pass. Arguments of the instrumentation: `samples` (1024), `seconds` (60, at
 * most), `threads` (1), `device` (the name in the result).
 */
@RunWith(AndroidJUnit4::class)
class LatencyBenchmark {
    private val arguments = InstrumentationRegistry.getArguments()
    private val context: Context = InstrumentationRegistry.getInstrumentation().targetContext
    private val samples = arguments.getString("samples")?.toInt() ?: 1024
    private val seconds = arguments.getString("seconds")?.toDouble() ?: 60.0
    private val threads = arguments.getString("threads")?.toInt() ?: 1

    @Test
    fun latency() {
        val verified = Model(context, threads).use { SelfTest.run(it, GoldenSamples(context, it.card)) }
        assertTrue("$verified; no latency is reported", verified.passed)
        val started = Instant.now().toString()
        val begin = System.nanoTime()
        Model(context, threads).use { model ->
            val loaded = System.nanoTime()
            val golden = GoldenSamples(context, model.card)
            val inputs = (0 until golden.count).map { golden.input(it) }
            val first = timed { outputs(model, inputs[0]) }
            val (measured, trace) = steady(model, inputs)
            val process = JSONObject()
                .put("load_ns", loaded - begin)
                .put("first_ns", first)
                .put("samples_ns", JSONArray(measured))
                .put("traces", JSONArray().put(trace))
            peakMemory()?.let { process.put("memory", JSONObject().put("peak_bytes", it)) }
            Log.i("EDGEDISTILL_BENCH", recording(model.card, started, verified, process).toString())
        }
    }

    private fun steady(model: Model, inputs: List<Any>): Pair<List<Long>, JSONObject> {
        val measured = ArrayList<Long>(samples)
        val instants = JSONArray()
        val temperatures = JSONArray()
        val origin = System.nanoTime()
        while (measured.size < samples && (System.nanoTime() - origin) / 1e9 < seconds) {
            if (measured.size % 64 == 0) {
                batteryTemperature()?.let {
                    instants.put(System.nanoTime() - origin)
                    temperatures.put(it)
                }
            }
            measured.add(timed { outputs(model, inputs[measured.size % inputs.size]) })
        }
        val trace = JSONObject()
            .put("quantity", "temperature_c")
            .put("sensor", "battery")
            .put("at_ns", instants)
            .put("values", temperatures)
        return Pair(measured, trace)
    }

    private fun recording(card: ModelCard, started: String, verified: SelfTest, process: JSONObject): JSONObject {
        val artifact = JSONObject()
            .put("name", card.name)
            .put("target", card.target)
            .put("profile", card.profile)
            .put("format", "onnx")
            .put("precision", card.precision)
            .put("model_sha256", card.modelSha256)
            .put("size_bytes", card.modelSizeBytes)
        val runtime = JSONObject()
            .put("name", "onnxruntime")
            .put("version", OrtEnvironment.getEnvironment().version)
            .put("provider", "CPUExecutionProvider")
            .put("threads", threads)
        val workload = JSONObject()
            .put("mode", "burst")
            .put("scenario", "single-stream")
            .put("batch", 1)
            .put("input", "real")
            .put("shape", JSONArray(listOf(1) + card.inputShape))
            .put("scope", "invoke+copies")
        val protocol = JSONObject()
            .put("runner", "LatencyBenchmark of {{module}}, edgedistill {{version}}")
            .put("min_samples", samples)
            .put("min_seconds", 0)
            .put("max_seconds", seconds)
            .put("clock", "System.nanoTime")
        val golden = JSONObject()
            .put("golden_samples", verified.samples)
            .put("largest_steps", verified.largestSteps.toDouble())
            .put("max_steps", verified.maxSteps.toDouble())
            .put("identical_outputs", verified.identicalOutputs.toDouble())
        return JSONObject()
            .put("schema", "edgedistill.bench/1")
            .put("started", started)
            .put("artifact", artifact)
            .put("runtime", runtime)
            .put("device", device())
            .put("workload", workload)
            .put("protocol", protocol)
            .put("verified", golden)
            .put("processes", JSONArray().put(process))
    }

    private fun device(): JSONObject {
        val emulated = Build.HARDWARE in setOf("goldfish", "ranchu") || Build.FINGERPRINT.startsWith("generic")
        val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager
        return JSONObject()
            .put("kind", "android")
            .put("execution", if (emulated) "emulated" else "device")
            .put("name", arguments.getString("device") ?: Build.MODEL)
            .put("model", "${Build.MANUFACTURER} ${Build.MODEL}")
            .put("soc", Build.HARDWARE)
            .put("machine", Build.SUPPORTED_ABIS.first())
            .put("os", "Android ${Build.VERSION.RELEASE}")
            .put("cores", Runtime.getRuntime().availableProcessors())
            .put("power_mode", if (power.isPowerSaveMode) "power saving" else "normal")
    }

    private fun batteryTemperature(): Double? {
        val state = context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED)) ?: return null
        val tenths = state.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, Int.MIN_VALUE)
        return if (tenths == Int.MIN_VALUE) null else tenths / 10.0
    }

    private fun peakMemory(): Long? {
        val line = File("/proc/self/status").useLines { lines -> lines.firstOrNull { it.startsWith("VmHWM:") } }
        return line?.filter { it.isDigit() }?.toLongOrNull()?.let { it * 1024 }
    }

    private fun outputs(model: Model, input: Any): FloatArray = when (input) {
        is FloatArray -> model.outputs(input)
        else -> model.outputs(input as IntArray)
    }

    private inline fun timed(block: () -> Unit): Long {
        val begin = System.nanoTime()
        block()
        return maxOf(System.nanoTime() - begin, 1)
    }
}
