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
        guard wanted.kind == .image, let size = wanted.size, size.count == 2, image.channels == wanted.channels else {
            throw refusal(of: "an image of \(image.channels) channels")
        }
        let fitting = try Resize.resized(image, height: size[0], width: size[1])
        return try provider(MLFeatureValue(pixelBuffer: fitting.pixelBuffer()))
    }

    /// An array, normalised here.
    public func array(_ values: [Float]) throws -> MLFeatureProvider {
        let wanted = card.preprocessing
        guard wanted.kind == .array, values.count == card.sampleCount else {
            throw refusal(of: "an array of \(values.count) numbers")
        }
        let normalised = Self.normalised(
            values, scale: wanted.scale ?? 1, mean: wanted.mean ?? [0], std: wanted.std ?? [1])
        let array = MLShapedArray<Float>(scalars: normalised, shape: card.input.shape)
        return try provider(MLFeatureValue(shapedArray: array))
    }

    /// Tokens of a text, padded by the tokenizer.
    public func tokens(_ tokens: [Int32]) throws -> MLFeatureProvider {
        guard card.preprocessing.kind == .text, tokens.count == card.sampleCount else {
            throw refusal(of: "\(tokens.count) tokens")
        }
        let array = MLShapedArray<Int32>(scalars: tokens, shape: card.input.shape)
        return try provider(MLFeatureValue(shapedArray: array))
    }

    /// One golden sample.
    public func golden(_ samples: GoldenSamples, _ index: Int) throws -> MLFeatureProvider {
        switch card.preprocessing.kind {
        case .image: return try image(samples.image(index))
        case .array: return try array(samples.array(index))
        case .text: return try tokens(samples.tokens(index))
        }
    }

    private func provider(_ value: MLFeatureValue) throws -> MLFeatureProvider {
        try MLDictionaryFeatureProvider(dictionary: [card.input.name: value])
    }

    private func refusal(of found: String) -> ModelError {
        switch card.preprocessing.kind {
        case .image: return .wrongInput(found: found, wanted: "an image of \(card.preprocessing.channels ?? 0) channels")
        case .array: return .wrongInput(found: found, wanted: "an array of \(card.sampleCount) numbers")
        case .text: return .wrongInput(found: found, wanted: "\(card.sampleCount) tokens")
        }
    }

    /// `(x * scale - mean) / std` along the last axis.
    ///
    /// Each operation is rounded on its own, as on the workstation: Swift fuses none, and Accelerate does not say.
    static func normalised(_ values: [Float], scale: Float, mean: [Float], std: [Float]) -> [Float] {
        values.enumerated().map { index, value in
            (value * scale - mean[index % mean.count]) / std[index % std.count]
        }
    }
}
