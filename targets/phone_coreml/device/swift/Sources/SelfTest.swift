import Foundation

/// How the golden samples came out on this device.
public struct SelfTest: Codable, Equatable, Sendable {
    public let samples: Int
    /// Largest difference of an output, in output steps.
    public let largestSteps: Float
    /// What the artifact allows.
    public let maxSteps: Float
    /// Share of outputs with identical bits.
    public let identicalOutputs: Float
    /// Samples that were given another class.
    public let changedClasses: Int

    public var passed: Bool {
        changedClasses == 0 && largestSteps <= maxSteps + 1e-3
    }

    /// Compares outputs with those that the workstation computed, sample by sample.
    ///
    /// An output that is no number is infinitely far away.
    init(_ card: ModelCard, found: [[Float]], expected: [[Float]]) {
        let pairs = zip(found.joined(), expected.joined())
        let steps = pairs.map { abs($0 - $1) / card.output.step }
        samples = expected.count
        largestSteps = steps.reduce(0) { $1.isNaN ? .infinity : max($0, $1) }
        maxSteps = card.golden.maxSteps
        let identical = pairs.lazy.filter { $0.bitPattern == $1.bitPattern }.count
        identicalOutputs = Float(identical) / Float(max(expected.joined().count, 1))
        let changed = zip(found, expected).lazy.filter { Self.largest($0) != Self.largest($1) }.count
        changedClasses = card.classes.isEmpty ? 0 : changed
    }

    private static func largest(_ numbers: [Float]) -> Int? {
        numbers.max().flatMap { numbers.firstIndex(of: $0) }
    }
}

/// Samples with the outputs that the workstation computed.
public struct GoldenSamples: Sendable {
    public let card: ModelCard
    private let inputs: Data
    private let outputs: [Float]

    public init(_ card: ModelCard) throws {
        self.card = card
        inputs = try Resources.data("golden-inputs", "bin")
        outputs = Self.floats(try Resources.data("golden-outputs", "bin"))
        let width = card.preprocessing.kind == .image ? 1 : 4
        guard inputs.count == card.golden.n * card.sampleCount * width,
            outputs.count == card.golden.n * card.outputCount
        else {
            throw ModelError.notWhatWasBuilt("golden samples")
        }
    }

    public var count: Int { card.golden.n }

    /// Outputs of one sample.
    public func expected(_ index: Int) -> [Float] {
        Array(outputs[(index * card.outputCount)..<((index + 1) * card.outputCount)])
    }

    /// Pixels of one sample, at the model's size.
    public func image(_ index: Int) throws -> PixelImage {
        guard let size = card.preprocessing.size, let channels = card.preprocessing.channels else {
            throw ModelError.wrongInput(found: "an array", wanted: "an image")
        }
        let bytes = [UInt8](inputs[(index * card.sampleCount)..<((index + 1) * card.sampleCount)])
        return try PixelImage(height: size[0], width: size[1], channels: channels, bytes: bytes)
    }

    /// Numbers of one sample.
    public func array(_ index: Int) -> [Float] {
        Self.floats(words(index))
    }

    /// Tokens of one sample.
    public func tokens(_ index: Int) -> [Int32] {
        Self.bits(words(index)).map { Int32(bitPattern: $0) }
    }

    private func words(_ index: Int) -> Data {
        let size = card.sampleCount * 4
        return inputs.subdata(in: (index * size)..<((index + 1) * size))
    }

    /// Little-endian float32 numbers.
    static func floats(_ data: Data) -> [Float] {
        bits(data).map { Float(bitPattern: $0) }
    }

    private static func bits(_ data: Data) -> [UInt32] {
        data.withUnsafeBytes { bytes in
            (0..<(bytes.count / 4)).map { word in
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * word, as: UInt32.self))
            }
        }
    }
}

extension Model {
    /// Checks the hash of the model, computes the golden samples, and compares the outputs.
    ///
    /// - Throws: `ModelError.notWhatWasBuilt` if the model is not the one that was built.
    public func selfTest() async throws -> SelfTest {
        guard try CompiledModel.hash(of: CompiledModel.package()) == card.modelSha256 else {
            throw ModelError.notWhatWasBuilt("Model.mlpackage")
        }
        let golden = try GoldenSamples(card)
        let inputs = Inputs(card)
        var found: [[Float]] = []
        for index in 0..<golden.count {
            found.append(try await outputs(from: inputs.golden(golden, index)))
        }
        return SelfTest(card, found: found, expected: (0..<golden.count).map(golden.expected))
    }
}
