import CoreML
import Foundation

/// The model `{{name}}`, loaded: from the features that `Inputs` makes to numbers.
public actor Model {
    public let card: ModelCard
    public let units: ComputeUnits
    private let loaded: MLModel

    /// Loads the model; compiles it at first use on a device.
    public init(units: ComputeUnits = .all) async throws {
        let card = try ModelCard.bundled()
        let url = try await CompiledModel.url(for: card)
        self.init(card: card, loaded: try await CompiledModel.load(url, units: units), units: units)
    }

    init(card: ModelCard, loaded: MLModel, units: ComputeUnits) {
        self.card = card
        self.loaded = loaded
        self.units = units
    }

    /// The model's outputs for one sample, `card.output.shape` without the batch.
    public func outputs(from features: MLFeatureProvider) async throws -> [Float] {
        let result = try await loaded.prediction(from: features)
        guard let array = result.featureValue(for: card.output.name)?.multiArrayValue,
            array.count == card.outputCount
        else {
            throw ModelError.wrongOutput("no array '\(card.output.name)' of \(card.outputCount) numbers")
        }
        return (0..<array.count).map { array[$0].floatValue }
    }
}
