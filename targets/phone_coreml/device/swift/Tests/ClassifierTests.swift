import XCTest

@testable import {{module}}

/// The model on this device computes what was built.
final class ClassifierTests: XCTestCase {
    func testTheModelIsTheOneThatWasBuilt() throws {
        let card = try ModelCard.bundled()
        XCTAssertEqual(try CompiledModel.hash(of: CompiledModel.package()), card.modelSha256)
    }

    func testGoldenSamplesOnEveryChoiceOfUnits() async throws {
        for units in ComputeUnits.allCases {
            let result = try await Classifier(units: units).selfTest()
            XCTAssertTrue(result.passed, "\(units.rawValue): \(result)")
        }
    }

    func testAPredictionNamesAClassAndItsProbability() async throws {
        let classifier = try await Classifier()
        let golden = try GoldenSamples(classifier.card)
        let found = try await classifier.prediction(from: Inputs(classifier.card).golden(golden, 0))
        XCTAssertTrue(classifier.card.classes.contains(found.label))
        XCTAssertEqual(found.probabilities.reduce(0, +), 1, accuracy: 1e-4)
        XCTAssertEqual(found.probabilities[found.index], found.probability, accuracy: 1e-5)
    }

    func testAnArrayOfAnotherLengthIsRefused() async throws {
        let classifier = try await Classifier(units: .cpuOnly)
        do {
            _ = try await classifier.predict([Float]())
            XCTFail("an empty array was accepted")
        } catch is ModelError {
        }
    }

    func testNormalisationScalesThenSubtractsThenDivides() {
        let found = Inputs.normalised([1, 2, 3, 4], scale: 2, mean: [1, 0], std: [2, 4])
        XCTAssertEqual(found, [0.5, 1, 2.5, 2])
    }
}
