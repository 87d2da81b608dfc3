import CoreGraphics
import CoreML
import CoreVideo
import Foundation
import ImageIO

/// What the model says of one sample.
public struct Prediction: Equatable, Sendable {
    public let label: String
    /// Place of the label in `ModelCard.classes`.
    public let index: Int
    /// Softmax of the logits at the label, 0 to 1.
    public let probability: Float
    /// One number per class, in the order of `ModelCard.classes`.
    public let logits: [Float]

    /// Probabilities of all classes, computed from the logits.
    public var probabilities: [Float] {
        let largest = logits.max() ?? 0
        let exponentials = logits.map { exp($0 - largest) }
        let sum = exponentials.reduce(0, +)
        return exponentials.map { $0 / sum }
    }
}

/// The model `{{name}}` as a classifier.
///
///     let classifier = try await Classifier()   // once: it holds the loaded model
///     let prediction = try await classifier.predict(image)
///
/// A sample is preprocessed as it was in training: that is part of this package and of the model. Several tasks may
/// predict at the same time; each holds its own input, so let a camera drop the frames that come too early.
public struct Classifier: Sendable {
    public let model: Model
    public let card: ModelCard

    /// Loads the model; compiles it at first use on a device.
    public init(units: ComputeUnits = .all) async throws {
        model = try await Model(units: units)
        card = model.card
    }

    /// Classifies an image of any size; `orientation` is what its file or the camera says of it.
    public func predict(_ image: CGImage, orientation: CGImagePropertyOrientation = .up) async throws -> Prediction {
        try await predict(PixelImage(image, channels: card.preprocessing.channels ?? 3, orientation: orientation))
    }

    /// Classifies a camera's frame, in BGRA.
    public func predict(_ frame: CVPixelBuffer, orientation: CGImagePropertyOrientation = .up) async throws -> Prediction {
        try await predict(PixelImage(frame, channels: card.preprocessing.channels ?? 3, orientation: orientation))
    }

    /// Classifies pixels of any size.
    public func predict(_ image: PixelImage) async throws -> Prediction {
        try await predict(from: Inputs(card).image(image))
    }

    /// Classifies an array: a sensor's window, a vector of features; not normalised.
    public func predict(_ values: [Float]) async throws -> Prediction {
        try await predict(from: Inputs(card).array(values))
    }

    /// Classifies a text by its tokens, as many as `card.sampleCount`; the tokenizer is the app's.
    public func predict(tokens: [Int32]) async throws -> Prediction {
        try await predict(from: Inputs(card).tokens(tokens))
    }

    func predict(from features: MLFeatureProvider) async throws -> Prediction {
        let logits = try await model.outputs(from: features)
        guard let largest = logits.max(), let index = logits.firstIndex(of: largest), index < card.classes.count else {
            throw ModelError.wrongOutput("logits without a largest one: \(logits)")
        }
        let sum = logits.reduce(0) { $0 + exp($1 - largest) }
        return Prediction(label: card.classes[index], index: index, probability: 1 / sum, logits: logits)
    }
}
