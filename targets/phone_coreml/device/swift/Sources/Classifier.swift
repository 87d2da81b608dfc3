import Accelerate
import CoreGraphics
import CoreML
import CoreVideo
import Foundation

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

/// The model `{{name}}`.
///
///     let classifier = try await Classifier()
///     let prediction = try await classifier.predict(image)
///
/// A sample is preprocessed as it was in training: that is part of this package and of the model.
public actor Classifier {
    public let card: ModelCard
    public let units: ComputeUnits
    private let model: MLModel

    /// Loads the model; compiles it at first use on a device.
    public init(units: ComputeUnits = .all) async throws {
        let card = try ModelCard.bundled()
        let url = try await CompiledModel.url(for: card)
        self.init(card: card, model: try await CompiledModel.load(url, units: units), units: units)
    }

    init(card: ModelCard, model: MLModel, units: ComputeUnits) {
        self.card = card
        self.model = model
        self.units = units
    }

    /// Classifies an image of any size.
    public func predict(_ image: CGImage) async throws -> Prediction {
        try await predict(PixelImage(image, channels: card.preprocessing.channels ?? 3))
    }

    /// Classifies pixels of any size.
    public func predict(_ image: PixelImage) async throws -> Prediction {
        try await prediction(from: Inputs(card).image(image))
    }

    /// Classifies an array: a sensor's window, a vector of features; not normalised.
    public func predict(_ values: [Float]) async throws -> Prediction {
        try await prediction(from: Inputs(card).array(values))
    }

    /// Classifies a text by its tokens, as many as `card.sampleCount`; the tokenizer is the app's.
    public func predict(tokens: [Int32]) async throws -> Prediction {
        try await prediction(from: Inputs(card).tokens(tokens))
    }

    func prediction(from features: MLFeatureProvider) async throws -> Prediction {
        let output = try await model.prediction(from: features)
        guard let array = output.featureValue(for: card.output.name)?.multiArrayValue else {
            throw ModelError.wrongOutput("no array '\(card.output.name)'")
        }
        let logits = (0..<array.count).map { array[$0].floatValue }
        guard logits.count == card.classes.count, let largest = logits.max(),
            let index = logits.firstIndex(of: largest)
        else {
            throw ModelError.wrongOutput("\(logits.count) outputs for \(card.classes.count) classes")
        }
        let sum = logits.reduce(0) { $0 + exp($1 - largest) }
        return Prediction(label: card.classes[index], index: index, probability: 1 / sum, logits: logits)
    }
}

/// Makes the model's inputs from raw samples.
public struct Inputs: Sendable {
    let card: ModelCard

    public init(_ card: ModelCard) {
        self.card = card
    }

    /// An image, resized where its size is another; the model normalises it.
    public func image(_ image: PixelImage) throws -> MLFeatureProvider {
        let wanted = card.preprocessing
        guard wanted.kind == .image, let size = wanted.size, image.channels == wanted.channels else {
            throw ModelError.wrongInput(
                found: "an image of \(image.channels) channels", wanted: "\(wanted.kind), \(wanted.channels ?? 0) channels")
        }
        let fitting = try Resize.resized(image, height: size[0], width: size[1])
        let value = MLFeatureValue(pixelBuffer: try fitting.pixelBuffer())
        return try MLDictionaryFeatureProvider(dictionary: [card.input.name: value])
    }

    /// An array, normalised here.
    public func array(_ values: [Float]) throws -> MLFeatureProvider {
        guard card.preprocessing.kind == .array, values.count == card.sampleCount else {
            throw ModelError.wrongInput(found: "\(values.count) numbers", wanted: "\(card.sampleCount) numbers")
        }
        let wanted = card.preprocessing
        let normalised = Self.normalised(
            values, scale: wanted.scale ?? 1, mean: wanted.mean ?? [0], std: wanted.std ?? [1])
        let array = try MLMultiArray(shape: card.input.shape.map { NSNumber(value: $0) }, dataType: .float32)
        for (index, value) in normalised.enumerated() {
            array[index] = NSNumber(value: value)
        }
        return try MLDictionaryFeatureProvider(dictionary: [card.input.name: MLFeatureValue(multiArray: array)])
    }

    /// Tokens of a text, padded by the tokenizer.
    public func tokens(_ tokens: [Int32]) throws -> MLFeatureProvider {
        guard card.preprocessing.kind == .text, tokens.count == card.sampleCount else {
            throw ModelError.wrongInput(found: "\(tokens.count) tokens", wanted: "\(card.sampleCount) tokens")
        }
        let array = try MLMultiArray(shape: card.input.shape.map { NSNumber(value: $0) }, dataType: .int32)
        for (index, token) in tokens.enumerated() {
            array[index] = NSNumber(value: token)
        }
        return try MLDictionaryFeatureProvider(dictionary: [card.input.name: MLFeatureValue(multiArray: array)])
    }

    /// One golden sample.
    public func golden(_ samples: GoldenSamples, _ index: Int) throws -> MLFeatureProvider {
        switch card.preprocessing.kind {
        case .image: return try image(samples.image(index))
        case .array: return try array(samples.array(index))
        case .text: return try tokens(samples.tokens(index))
        }
    }

    /// `(x * scale - mean) / std` along the last axis, each operation on its own: a fused one would round differently.
    static func normalised(_ values: [Float], scale: Float, mean: [Float], std: [Float]) -> [Float] {
        let scaled = vDSP.multiply(scale, values)
        let centred = vDSP.subtract(scaled, tiled(mean, to: values.count))
        return vDSP.divide(centred, tiled(std, to: values.count))
    }

    private static func tiled(_ numbers: [Float], to count: Int) -> [Float] {
        (0..<count).map { numbers[$0 % numbers.count] }
    }
}
