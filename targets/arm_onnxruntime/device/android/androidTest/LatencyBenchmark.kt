package {{package}}

import android.content.Context
import android.util.Log
import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith

/**
 * Measures load, first and steady latency; writes one JSON document, schema `edgedistill.bench/1`, to the log.
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
        val verified = SelfTest.run(context, threads)
        assertTrue("$verified; no latency is reported", verified.passed)
        val recording = Recording(context, ModelAssets(context).card, verified, arguments)
        val inputs = GoldenSamples(ModelAssets(context)).let { golden -> List(verified.samples) { golden.input(it) } }
        val begin = System.nanoTime()
        Model.load(context, threads).use { model ->
            val load = elapsed(begin)
            val first = timed { model.outputs(inputs[0]) }
            val sensors = Sensors(context)
            val measured = ArrayList<Long>(samples)
            val origin = System.nanoTime()
            while (measured.size < samples && (System.nanoTime() - origin) / 1e9 < seconds) {
                if (measured.size % 64 == 0) sensors.read(System.nanoTime() - origin)
                measured.add(timed { model.outputs(inputs[measured.size % inputs.size]) })
            }
            sensors.read(System.nanoTime() - origin)
            val process = JSONObject()
                .put("load_ns", load)
                .put("first_ns", first)
                .put("samples_ns", JSONArray(measured))
                .put("traces", sensors.traces())
            peakMemoryBytes()?.let { process.put("memory", JSONObject().put("peak_bytes", it)) }
            print(recording.document(process, samples, seconds, threads).toString())
        }
    }

    /** A line of the log holds about 4,000 bytes, and what is longer is cut off: the document is written in parts. */
    private fun print(document: String) = document.chunked(1000).forEach { Log.i("EDGEDISTILL_BENCH", it) }

    private inline fun timed(block: () -> Unit): Long {
        val begin = System.nanoTime()
        block()
        return elapsed(begin)
    }

    private fun elapsed(begin: Long): Long = maxOf(System.nanoTime() - begin, 1)
}
