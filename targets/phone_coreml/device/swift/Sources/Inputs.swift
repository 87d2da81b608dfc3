import Accelerate
import CoreML
import Foundation

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
