// Ours, not Apple's: declarations of Core ML that the sources use. See README.md.
import Foundation

public enum MLComputeUnits: Int, Sendable {
    case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine
}

open class MLModelConfiguration: NSObject {
    open var computeUnits: MLComputeUnits = .all
}

open class MLPredictionOptions: NSObject {}

public struct MLModelError: Error {
    public enum Code: Int, Sendable {
        case generic, featureType, io
    }

    public let code: Code
    public let message: String
}

/// Knows samples by heart: those in the folder that EDGEDISTILL_PLAYED names; computes nothing.
open class MLModel: NSObject {
    let played: Played

    init(_ played: Played) { self.played = played }

    @available(iOS 16.0, macOS 13.0, *)
    open class func compileModel(at modelURL: URL) async throws -> URL {
        guard FileManager.default.fileExists(atPath: modelURL.appendingPathComponent("Manifest.json").path) else {
            throw MLModelError(code: .io, message: "no package at \(modelURL.path)")
        }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let compiled = folder.appendingPathComponent("Model.mlmodelc")
        try FileManager.default.copyItem(at: modelURL, to: compiled)
        return compiled
    }

    @available(iOS 15.0, macOS 12.0, *)
    open class func load(
        contentsOf url: URL, configuration: MLModelConfiguration = MLModelConfiguration()
    ) async throws -> MLModel {
        guard FileManager.default.fileExists(atPath: url.appendingPathComponent("Manifest.json").path) else {
            throw MLModelError(code: .io, message: "no compiled model at \(url.path)")
        }
        return MLModel(try Played())
    }

    open func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider {
        try played.answer(input)
    }

    @available(iOS 17.0, macOS 14.0, *)
    open func prediction(
        from input: MLFeatureProvider, options: MLPredictionOptions = MLPredictionOptions()
    ) async throws -> MLFeatureProvider {
        await Task.yield()
        return try played.answer(input)
    }
}

#if MLMODEL_IS_SENDABLE
extension MLModel: @unchecked Sendable {}
#endif
