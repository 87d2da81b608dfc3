import XCTest

@testable import {{module}}

/// The model on this device computes what was built.
final class ModelTests: XCTestCase {
    func testTheModelIsTheOneThatWasBuilt() throws {
        let card = try ModelCard.bundled()
        XCTAssertEqual(try CompiledModel.hash(of: CompiledModel.package()), card.modelSha256)
    }

    func testGoldenSamplesOnEveryChoiceOfUnits() async throws {
        for units in ComputeUnits.allCases {
            let result = try await Model(units: units).selfTest()
            XCTAssertTrue(result.passed, "\(units.rawValue): \(result)")
        }
    }

    func testAnArrayOfAnotherLengthIsRefused() throws {
        let inputs = Inputs(try ModelCard.bundled())
        XCTAssertThrowsError(try inputs.array([]))
        XCTAssertThrowsError(try inputs.tokens([]))
    }

    func testNormalisationScalesThenSubtractsThenDivides() {
        let found = Inputs.normalised([1, 2, 3, 4], scale: 2, mean: [1, 0], std: [2, 4])
        XCTAssertEqual(found, [0.5, 1, 2.5, 2])
    }
}
