import CoreML
import XCTest

@testable import {{module}}

/// Measures load, first and steady latency for each choice of compute units; prints one line of JSON for each.
///
/// Nothing is measured unless the golden samples pass. Settings, from the environment of `xcodebuild` with the prefix
/// `TEST_RUNNER_`: `EDGEDISTILL_SAMPLES` (1024), `EDGEDISTILL_SECONDS` (60, at most), `EDGEDISTILL_UNITS` (all choices),
/// `EDGEDISTILL_DEVICE` (the name in the result).
final class LatencyBenchmark: XCTestCase {
    struct Settings {
        let samples: Int
        let seconds: Double
        let units: [ComputeUnits]

        init(_ environment: [String: String]) throws {
            samples = environment["EDGEDISTILL_SAMPLES"].flatMap(Int.init) ?? 1024
            seconds = environment["EDGEDISTILL_SECONDS"].flatMap(Double.init) ?? 60
            let chosen = environment["EDGEDISTILL_UNITS"]?.split(separator: ",").map(String.init)
            units = try chosen?.map(Self.units) ?? ComputeUnits.allCases
        }

        private static func units(named name: String) throws -> ComputeUnits {
            guard let units = ComputeUnits(rawValue: name) else {
                let known = ComputeUnits.allCases.map(\.rawValue).joined(separator: ", ")
                throw ModelError.wrongInput(found: "EDGEDISTILL_UNITS '\(name)'", wanted: known)
            }
            return units
        }
    }

    func testLatency() async throws {
        let settings = try Settings(ProcessInfo.processInfo.environment)
        let card = try ModelCard.bundled()
        for units in settings.units {
            let result = try await Model(units: units).selfTest()
            XCTAssertTrue(result.passed, "\(units.rawValue): \(result); no latency is reported")
            guard result.passed else { continue }
            let recording = try await record(card, units: units, settings: settings, verified: result)
            let line = try recording.line()
            print("EDGEDISTILL_BENCH \(line)")
        }
    }

    private func record(
        _ card: ModelCard, units: ComputeUnits, settings: Settings, verified: SelfTest
    ) async throws -> Recording {
        let started = ISO8601DateFormatter().string(from: Date())
        let inputs = try goldenInputs(card)
        let begin = now()
        let compiled = try await CompiledModel.compile()
        defer { try? FileManager.default.removeItem(at: compiled) }
        let model = try await CompiledModel.load(compiled, units: units)
        let loaded = now()
        _ = try await model.prediction(from: inputs[0])
        let first = now()
        let (samples, trace) = try await measured(model, inputs, settings: settings)
        let placement = await Machine.placement(of: compiled, units: units.coreML)
        return Recording(
            started: started,
            artifact: artifact(card),
            runtime: Recording.Runtime(
                version: ProcessInfo.processInfo.operatingSystemVersionString,
                provider: units.rawValue,
                options: ["computeUnits": units.rawValue],
                placement: placement),
            device: Machine.device(),
            workload: Recording.Workload(shape: card.input.shape),
            measuringProtocol: Recording.MeasuringProtocol(
                runner: "{{module}}Benchmarks, edgedistill {{version}}",
                min_samples: settings.samples,
                min_seconds: 0,
                max_seconds: settings.seconds,
                timer_overhead_ns: timerOverhead()),
            verified: Recording.Verified(
                golden_samples: verified.samples,
                largest_steps: verified.largestSteps,
                max_steps: verified.maxSteps,
                identical_outputs: verified.identicalOutputs),
            processes: [
                Recording.Process(
                    load_ns: loaded - begin,
                    first_ns: first - loaded,
                    samples_ns: samples,
                    memory: Machine.peakMemory(),
                    traces: [trace])
            ],
            notes: ["all compute units are measured in one process, one after the other"])
    }

    private func measured(
        _ model: MLModel, _ inputs: [MLFeatureProvider], settings: Settings
    ) async throws -> ([UInt64], Recording.Trace) {
        var samples: [UInt64] = []
        samples.reserveCapacity(settings.samples)
        var trace = Recording.Trace()
        let origin = now()
        while samples.count < settings.samples {
            if samples.count % 64 == 0 {
                trace.at_ns.append(Int64(now() - origin))
                trace.values.append(ProcessInfo.processInfo.thermalState.rawValue)
            }
            let begin = now()
            _ = try await model.prediction(from: inputs[samples.count % inputs.count])
            samples.append(max(now() - begin, 1))
            if Double(now() - origin) / 1e9 > settings.seconds {
                break
            }
        }
        trace.at_ns.append(Int64(now() - origin))
        trace.values.append(ProcessInfo.processInfo.thermalState.rawValue)
        return (samples, trace)
    }

    private func goldenInputs(_ card: ModelCard) throws -> [MLFeatureProvider] {
        let golden = try GoldenSamples(card)
        let inputs = Inputs(card)
        return try (0..<golden.count).map { try inputs.golden(golden, $0) }
    }

    private func artifact(_ card: ModelCard) -> Recording.Artifact {
        Recording.Artifact(
            name: card.name,
            target: card.target,
            profile: card.profile,
            precision: card.precision,
            model_sha256: card.modelSha256,
            size_bytes: card.modelSizeBytes)
    }

    /// Nanoseconds of a clock that only goes forward.
    private func now() -> UInt64 {
        DispatchTime.now().uptimeNanoseconds
    }

    private func timerOverhead() -> Double {
        let differences = (0..<1001).map { _ -> UInt64 in
            let begin = now()
            return now() - begin
        }
        return Double(differences.sorted()[500])
    }
}
