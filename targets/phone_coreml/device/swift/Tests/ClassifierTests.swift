import XCTest

@testable import {{module}}

final class ClassifierTests: XCTestCase {
    func testAPredictionNamesAClassAndItsProbability() async throws {
        let classifier = try await Classifier()
        let golden = try GoldenSamples(classifier.card)
        let found = try await classifier.predict(from: Inputs(classifier.card).golden(golden, 0))
        XCTAssertTrue(classifier.card.classes.contains(found.label))
        XCTAssertEqual(found.probabilities.reduce(0, +), 1, accuracy: 1e-4)
        XCTAssertEqual(found.probabilities[found.index], found.probability, accuracy: 1e-5)
    }

    func testAnImageOfTheAppIsAGoldenSample() async throws {
        let classifier = try await Classifier(units: .cpuOnly)
        guard classifier.card.preprocessing.kind == .image else {
            throw XCTSkip("the samples of this model are no images")
        }
        let golden = try GoldenSamples(classifier.card)
        for index in 0..<golden.count {
            let pixels = try golden.image(index)
            let picture = try Pictures.image(
                height: pixels.height, width: pixels.width, channels: pixels.channels, bytes: pixels.bytes)
            let found = try await classifier.predict(picture)
            let frame = try await classifier.predict(pixels.pixelBuffer())
            XCTAssertEqual(found, frame)
            let result = SelfTest(classifier.card, found: [found.logits], expected: [golden.expected(index)])
            XCTAssertTrue(result.passed, "sample \(index): \(result)")
        }
    }
}
