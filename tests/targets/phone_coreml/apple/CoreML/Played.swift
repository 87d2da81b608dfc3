// Ours, not Apple's: what the stand-in answers. See README.md.
import Foundation

/// Inputs bit by bit with the outputs that the workstation computed for them.
struct Played {
    struct Description: Decodable {
        let input: String
        let output: String
        let outputs: Int
    }

    let description: Description
    let answers: [Data: [UInt32]]

    init() throws {
        guard let path = ProcessInfo.processInfo.environment["EDGEDISTILL_PLAYED"] else {
            throw MLModelError(code: .io, message: "EDGEDISTILL_PLAYED names no folder")
        }
        let folder = URL(fileURLWithPath: path)
        func read(_ name: String) throws -> Data { try Data(contentsOf: folder.appendingPathComponent(name)) }
        let description = try JSONDecoder().decode(Description.self, from: read("played.json"))
        let (inputs, outputs) = (try read("inputs.bin"), try read("outputs.bin"))
        let samples = outputs.count / (4 * description.outputs)
        var answers: [Data: [UInt32]] = [:]
        for sample in 0..<samples {
            let size = inputs.count / samples
            let words = outputs.withUnsafeBytes { bytes in
                (0..<description.outputs).map { index in
                    let place = (sample * description.outputs + index) * 4
                    return UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self))
                }
            }
            answers[inputs.subdata(in: (sample * size)..<((sample + 1) * size))] = words
        }
        self.description = description
        self.answers = answers
    }

    func answer(_ input: MLFeatureProvider) throws -> MLFeatureProvider {
        guard let value = input.featureValue(for: description.input), input.featureNames.count == 1 else {
            throw MLModelError(code: .featureType, message: "wanted '\(description.input)', got \(input.featureNames)")
        }
        let bytes = try value.imageBufferValue.map(Self.bytes) ?? Self.bytes(value.multiArrayValue!)
        guard let words = answers[bytes] else {
            throw MLModelError(code: .generic, message: "the input is none of \(answers.count) golden ones, bit by bit")
        }
        let array = MLMultiArray(shape: [1, words.count], dataType: .float32, words: words)
        return try MLDictionaryFeatureProvider(dictionary: [description.output: MLFeatureValue(multiArray: array)])
    }

    /// Grey, or red, green, blue; rows without their padding.
    private static func bytes(_ buffer: CVPixelBuffer) throws -> Data {
        CVPixelBufferLockBaseAddress(buffer, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        let grey = CVPixelBufferGetPixelFormatType(buffer) == kCVPixelFormatType_OneComponent8
        let (base, rowBytes) = (CVPixelBufferGetBaseAddress(buffer)!, CVPixelBufferGetBytesPerRow(buffer))
        var found = Data()
        for row in 0..<CVPixelBufferGetHeight(buffer) {
            for column in 0..<CVPixelBufferGetWidth(buffer) {
                let place = row * rowBytes + column * (grey ? 1 : 4)
                if !grey, base.load(fromByteOffset: place + 3, as: UInt8.self) != 255 {
                    throw MLModelError(code: .featureType, message: "a pixel that is not opaque")
                }
                found += (grey ? [0] : [2, 1, 0]).map { base.load(fromByteOffset: place + $0, as: UInt8.self) }
            }
        }
        return found
    }

    private static func bytes(_ array: MLMultiArray) -> Data {
        array.words.reduce(into: Data()) { data, word in
            withUnsafeBytes(of: word.littleEndian) { data.append(contentsOf: $0) }
        }
    }
}
