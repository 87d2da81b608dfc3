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
}
