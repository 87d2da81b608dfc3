import CoreML
import Foundation

/// The model `{{name}}`, loaded: from the features that `Inputs` makes to numbers.
///
/// Several tasks may ask it at the same time.
// Unchecked: `MLModel` answers asynchronous predictions from any thread (WWDC 2023, session 10049), but not every SDK
// declares it `Sendable`.
public final class Model: @unchecked Sendable {
    public let card: ModelCard
    public let units: ComputeUnits
    private let loaded: MLModel

    /// Loads the model; compiles it at first use on a device.
    public convenience init(units: ComputeUnits = .all) async throws {
        let card = try ModelCard.bundled()
        self.init(card: card, loaded: try await CompiledModel.loaded(for: card, units: units), units: units)
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
        return MLShapedArray<Float>(converting: array).scalars  // in order, whatever the array's strides are
    }
}
