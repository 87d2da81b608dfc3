import CoreGraphics
import CoreVideo
import Foundation
import ImageIO

/// The model `{{name}}` as an embedder: similar samples get vectors that point in similar directions.
///
///     let embedder = try await Embedder()   // once: it holds the loaded model
///     let vector = try await embedder.embed(tokens: tokens)
public struct Embedder: Sendable {
    public let model: Model
    public let card: ModelCard

    /// Loads the model; compiles it at first use on a device.
    public init(units: ComputeUnits = .all) async throws {
        model = try await Model(units: units)
        card = model.card
    }

    /// Embeds an image of any size; `orientation` is what its file or the camera says of it.
    public func embed(_ image: CGImage, orientation: CGImagePropertyOrientation = .up) async throws -> [Float] {
        try await embed(PixelImage(image, channels: card.preprocessing.channels ?? 3, orientation: orientation))
    }

    /// Embeds a camera's frame, in BGRA.
    public func embed(_ frame: CVPixelBuffer, orientation: CGImagePropertyOrientation = .up) async throws -> [Float] {
        try await embed(PixelImage(frame, channels: card.preprocessing.channels ?? 3, orientation: orientation))
    }

    /// Embeds pixels of any size.
    public func embed(_ image: PixelImage) async throws -> [Float] {
        try await model.outputs(from: Inputs(card).image(image))
    }

    /// Embeds an array: a sensor's window, a vector of features; not normalised.
    public func embed(_ values: [Float]) async throws -> [Float] {
        try await model.outputs(from: Inputs(card).array(values))
    }

    /// Embeds a text by its tokens, as many as `card.sampleCount`; the tokenizer is the app's.
    public func embed(tokens: [Int32]) async throws -> [Float] {
        try await model.outputs(from: Inputs(card).tokens(tokens))
    }

    /// Cosine of the angle between two vectors, -1 to 1.
    public static func similarity(_ first: [Float], _ second: [Float]) -> Float {
        let product = zip(first, second).reduce(Float(0)) { $0 + $1.0 * $1.1 }
        let lengths = [first, second].map { vector in vector.reduce(Float(0)) { $0 + $1 * $1 }.squareRoot() }
        return product / max(lengths[0] * lengths[1], .leastNormalMagnitude)
    }
}
