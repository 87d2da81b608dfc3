import CoreML
import Foundation

#if canImport(Darwin)
@preconcurrency import Darwin  // mach_task_self_ is a variable there
#endif

/// What this device says of itself.
enum Machine {
    /// "iPhone16,1"; on a simulator, that of the device it stands for.
    static var model: String {
        if let simulated = ProcessInfo.processInfo.environment["SIMULATOR_MODEL_IDENTIFIER"] {
            return simulated
        }
        #if os(macOS)
        return text(ofSystemValue: "hw.model")
        #else
        return text(ofSystemValue: "hw.machine")
        #endif
    }

    private static var architecture: String {
        #if arch(arm64)
        return "arm64"
        #else
        return "x86_64"
        #endif
    }

    static func device() -> Recording.Device {
        let process = ProcessInfo.processInfo
        #if targetEnvironment(simulator)
        let (kind, execution) = ("ios", "emulated")
        #elseif os(macOS)
        let (kind, execution) = ("macos", "host")
        #elseif os(iOS)
        let (kind, execution) = ("ios", "device")
        #else
        let (kind, execution) = ("host", "emulated")  // no system of Apple's: whatever answers here, it is not Core ML
        #endif
        return Recording.Device(
            kind: kind,
            execution: execution,
            name: process.environment["EDGEDISTILL_DEVICE"] ?? model,
            model: model,
            machine: architecture,
            os: process.operatingSystemVersionString,
            cores: process.processorCount,
            memory_bytes: process.physicalMemory,
            power_mode: process.isLowPowerModeEnabled ? "low power" : "normal")
    }

    /// Most memory that this process ever had, in bytes; nil where the kernel does not say.
    static func peakMemory() -> Recording.Memory? {
        var info = task_vm_info_data_t()
        var count = mach_msg_type_number_t(MemoryLayout<task_vm_info_data_t>.size / MemoryLayout<natural_t>.size)
        let status = withUnsafeMutablePointer(to: &info) { pointer in
            pointer.withMemoryRebound(to: integer_t.self, capacity: Int(count)) { rebound in
                task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), rebound, &count)
            }
        }
        guard status == KERN_SUCCESS, info.ledger_phys_footprint_peak > 0 else { return nil }
        return Recording.Memory(peak_bytes: info.ledger_phys_footprint_peak)
    }

    /// Operations by the unit that Core ML prefers for each; nil before iOS 17.4.
    static func placement(of model: URL, units: MLComputeUnits) async -> [String: Int]? {
        guard #available(iOS 17.4, macOS 14.4, *) else { return nil }
        let configuration = MLModelConfiguration()
        configuration.computeUnits = units
        guard let plan = try? await MLComputePlan.load(contentsOf: model, configuration: configuration),
            case .program(let program) = plan.modelStructure,
            let operations = program.functions["main"]?.block.operations
        else { return nil }
        var counts: [String: Int] = [:]
        for operation in operations {
            guard let usage = plan.deviceUsage(for: operation) else { continue }  // constants have none
            switch usage.preferred {
            case .neuralEngine: counts["npu", default: 0] += 1
            case .gpu: counts["gpu", default: 0] += 1
            case .cpu: counts["cpu", default: 0] += 1
            @unknown default: counts["other", default: 0] += 1
            }
        }
        return counts
    }

    private static func text(ofSystemValue name: String) -> String {
        var size = 0
        guard sysctlbyname(name, nil, &size, nil, 0) == 0 else { return "unknown" }
        var bytes = [UInt8](repeating: 0, count: size)
        guard sysctlbyname(name, &bytes, &size, nil, 0) == 0 else { return "unknown" }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}
