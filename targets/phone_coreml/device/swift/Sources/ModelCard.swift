import Foundation

/// What `model.json` says of the model: names, classes, preprocessing, golden samples.
public struct ModelCard: Codable, Sendable {
    public struct Input: Codable, Sendable {
        public let name: String
        public let shape: [Int]
    }

    public struct Output: Codable, Sendable {
        public let name: String
        public let shape: [Int]
        /// One output step: 1/255 of the range of the golden outputs.
        public let step: Float
    }

    /// From a raw sample to the model's input: for images and arrays `(x * scale - mean) / std`.
    public struct Preprocessing: Codable, Sendable {
        public enum Kind: String, Codable, Sendable {
            /// Pixels; the normalisation is part of the model.
            case image
            /// Numbers; the normalisation is done here.
            case array
            /// Tokens of a text; the tokenizer is the app's.
            case text
        }

        public let kind: Kind
        /// Height and width of an image.
        public let size: [Int]?
        /// 1 for grey, 3 for red, green, blue.
        public let channels: Int?
        /// Shape of an array.
        public let shape: [Int]?
        public let scale: Float?
        public let mean: [Float]?
        public let std: [Float]?
    }

    public struct Golden: Codable, Sendable {
        public let n: Int
        /// Output steps within which a golden output counts as equal.
        public let maxSteps: Float

        enum CodingKeys: String, CodingKey {
            case n
            case maxSteps = "max_steps"
        }
    }

    public let name: String
    public let target: String
    public let profile: String
    public let precision: String
    public let deployment: String
    public let input: Input
    public let output: Output
    /// Class names in the order of the outputs; empty for an embedder.
    public let classes: [String]
    public let preprocessing: Preprocessing
    public let golden: Golden
    /// SHA-256 over the hashes of the files of `Model.mlpackage`.
    public let modelSha256: String
    public let modelSizeBytes: Int

    enum CodingKeys: String, CodingKey {
        case name, target, profile, precision, deployment, input, output, classes, preprocessing, golden
        case modelSha256 = "model_sha256"
        case modelSizeBytes = "model_size_bytes"
    }

    /// The card in this package.
    public static func bundled() throws -> ModelCard {
        try JSONDecoder().decode(ModelCard.self, from: Resources.data("model", "json"))
    }

    /// Numbers that the model gives for one sample.
    public var outputCount: Int {
        output.shape.reduce(1, *)
    }

    /// Elements of one sample: pixels times channels, numbers, or tokens.
    public var sampleCount: Int {
        input.shape.reduce(1, *)
    }
}

/// The files of this package.
enum Resources {
    static func url(_ name: String, _ suffix: String) throws -> URL {
        guard let found = Bundle.module.url(forResource: name, withExtension: suffix) else {
            throw ModelError.missingResource("\(name).\(suffix)")
        }
        return found
    }

    static func data(_ name: String, _ suffix: String) throws -> Data {
        try Data(contentsOf: url(name, suffix))
    }
}
