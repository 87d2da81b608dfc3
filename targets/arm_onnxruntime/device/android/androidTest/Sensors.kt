package {{package}}

import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import java.io.File
import org.json.JSONArray
import org.json.JSONObject

/** Reads the battery's temperature and the phone's own word on its heat while something is measured. */
internal class Sensors(private val context: Context) {
    private val temperature = Trace("temperature_c", "battery")
    private val heat = Trace("thermal_state", "PowerManager.currentThermalStatus")

    /** Reads each sensor that this phone has. */
    fun read(atNs: Long) {
        val tenths = battery(context)?.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, Int.MIN_VALUE) ?: Int.MIN_VALUE
        if (tenths != Int.MIN_VALUE) temperature.add(atNs, tenths / 10.0)
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) {
            val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager
            heat.add(atNs, state(power.currentThermalStatus))
        }
    }

    /** What was read, in the form of the schema. */
    fun traces(): JSONArray = JSONArray(listOf(temperature, heat).filter { it.any }.map { it.document() })

    /** Android's seven states as the schema's four: 0 nominal, 1 fair, 2 serious, 3 critical. */
    private fun state(status: Int): Double = when (status) {
        PowerManager.THERMAL_STATUS_NONE -> 0.0
        PowerManager.THERMAL_STATUS_LIGHT, PowerManager.THERMAL_STATUS_MODERATE -> 1.0
        PowerManager.THERMAL_STATUS_SEVERE -> 2.0
        else -> 3.0
    }

    private class Trace(private val quantity: String, private val sensor: String) {
        private val instants = JSONArray()
        private val values = JSONArray()
        val any: Boolean get() = values.length() > 0

        fun add(atNs: Long, value: Double) {
            instants.put(atNs)
            values.put(value)
        }

        fun document(): JSONObject = JSONObject()
            .put("quantity", quantity)
            .put("sensor", sensor)
            .put("at_ns", instants)
            .put("values", values)
    }
}

/** What the system last said of the battery. */
internal fun battery(context: Context): Intent? =
    context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED))

/** The most memory that this process ever held. */
internal fun peakMemoryBytes(): Long? {
    val line = File("/proc/self/status").useLines { lines -> lines.firstOrNull { it.startsWith("VmHWM:") } }
    return line?.filter { it.isDigit() }?.toLongOrNull()?.let { it * 1024 }
}
