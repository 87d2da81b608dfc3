import CoreML
import CryptoKit
import Foundation

/// Where the model may run. Core ML decides operation by operation, within this choice.
public enum ComputeUnits: String, CaseIterable, Codable, Sendable {
    case all
    case cpuAndNeuralEngine
    case cpuAndGPU
    case cpuOnly

    public var coreML: MLComputeUnits {
        switch self {
        case .all: return .all
        case .cpuAndNeuralEngine: return .cpuAndNeuralEngine
        case .cpuAndGPU: return .cpuAndGPU
        case .cpuOnly: return .cpuOnly
        }
    }
}

/// The model in the form that the device runs: compiled once, and kept.
public enum CompiledModel {
    /// URL of the package that this Swift package carries.
    public static func package() throws -> URL {
        try Resources.url("Model", "mlpackage")
    }

    /// The model, loaded from its compiled form, which is made at first use and kept.
    ///
    /// A kept form that does not load is made once more: the system may clear the caches folder in part.
    static func loaded(for card: ModelCard, units: ComputeUnits) async throws -> MLModel {
        let kept = try await url(for: card)
        do {
            return try await load(kept, units: units)
        } catch {
            try Task.checkCancellation()
            try? FileManager.default.removeItem(at: kept)
            return try await load(url(for: card), units: units)
        }
    }

    /// URL of the compiled model, made at first use and kept in the caches folder under the package's hash.
    public static func url(for card: ModelCard) async throws -> URL {
        let kept = try place(for: card)
        if FileManager.default.fileExists(atPath: kept.path) {
            return kept
        }
        let compiled = try await compile()
        defer { try? FileManager.default.removeItem(at: compiled) }
        do {
            try FileManager.default.moveItem(at: compiled, to: kept)
        } catch let error as CocoaError where error.code == .fileWriteFileExists {
            // another task was first
        }
        return kept
    }

    /// Where the compiled model is kept; its folder is made.
    static func place(for card: ModelCard) throws -> URL {
        let folder = try FileManager.default.url(
            for: .cachesDirectory, in: .userDomainMask, appropriateFor: nil, create: true
        ).appendingPathComponent("edgedistill", isDirectory: true)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder.appendingPathComponent("\(card.modelSha256).mlmodelc", isDirectory: true)
    }

    /// URL of a newly compiled model in a temporary folder.
    public static func compile() async throws -> URL {
        try await MLModel.compileModel(at: package())
    }

    /// Loads a compiled model; nothing is kept.
    public static func load(_ url: URL, units: ComputeUnits) async throws -> MLModel {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = units.coreML
        return try await MLModel.load(contentsOf: url, configuration: configuration)
    }

    /// SHA-256 over one line per file of the package, in the order of their paths: `<hash>  <path>`.
    public static func hash(of package: URL) throws -> String {
        let root = package.resolvingSymlinksInPath().path
        guard let paths = FileManager.default.subpaths(atPath: root) else {
            throw ModelError.missingResource(root)
        }
        var lines = ""
        for path in paths.sorted() {
            let file = URL(fileURLWithPath: root).appendingPathComponent(path)
            let isFolder = try file.resourceValues(forKeys: [.isDirectoryKey]).isDirectory ?? false
            if !isFolder {
                let content = try Data(contentsOf: file, options: .mappedIfSafe)
                lines += "\(hex(SHA256.hash(data: content)))  \(path)\n"
            }
        }
        return hex(SHA256.hash(data: Data(lines.utf8)))
    }

    private static func hex(_ digest: SHA256.Digest) -> String {
        digest.map { String(format: "%02x", $0) }.joined()
    }
}
