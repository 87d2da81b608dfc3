import Foundation

/// What `edgedistill bench import` reads: schema `edgedistill.bench/1`, raw samples, no statistics.
struct Recording: Encodable {
    struct Artifact: Encodable {
        let name: String
        let target: String
        let profile: String
        let format = "mlpackage"
        let precision: String
        let model_sha256: String
        let size_bytes: Int
    }

    struct Runtime: Encodable {
        let name = "coreml"
        let version: String
        let provider: String
        let options: [String: String]
        /// Operations by unit, as Core ML plans them; nil where it does not say.
        let placement: [String: Int]?
    }

    struct Device: Encodable {
        let kind: String
        let execution: String
        let name: String
        let model: String
        let machine: String
        let os: String
        let cores: Int
        let memory_bytes: UInt64
        let power_mode: String
    }

    struct Workload: Encodable {
        let mode = "burst"
        let scenario = "single-stream"
        let batch = 1
        let input = "real"
        let shape: [Int]
        let scope = "invoke+copies"
    }

    struct MeasuringProtocol: Encodable {
        let runner: String
        let min_samples: Int
        let min_seconds: Double
        let max_seconds: Double
        let clock = "mach_absolute_time"
        let timer_overhead_ns: Double
    }

    struct Verified: Encodable {
        let golden_samples: Int
        let largest_steps: Float
        let max_steps: Float
        let identical_outputs: Float
    }

    struct Trace: Encodable {
        let quantity = "thermal_state"
        let sensor = "ProcessInfo.thermalState"
        var at_ns: [Int64] = []
        var values: [Int] = []
    }

    struct Memory: Encodable {
        let peak_bytes: Int64
    }

    struct Process: Encodable {
        let load_ns: UInt64
        let first_ns: UInt64
        let samples_ns: [UInt64]
        let memory: Memory?
        let traces: [Trace]
    }

    enum CodingKeys: String, CodingKey {
        case schema, started, artifact, runtime, device, workload
        case measuringProtocol = "protocol"
        case verified, processes, notes
    }

    let schema = "edgedistill.bench/1"
    let started: String
    let artifact: Artifact
    let runtime: Runtime
    let device: Device
    let workload: Workload
    let measuringProtocol: MeasuringProtocol
    let verified: Verified
    let processes: [Process]
    let notes: [String]

    /// One line of JSON.
    func line() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}
