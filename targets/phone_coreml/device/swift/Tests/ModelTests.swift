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

    func testTasksMayAskAtTheSameTime() async throws {
        let model = try await Model(units: .cpuOnly)
        let golden = try GoldenSamples(model.card)
        let found = try await withThrowingTaskGroup(of: (Int, [Float]).self) { group in
            for index in 0..<golden.count {
                group.addTask { (index, try await model.outputs(from: Inputs(model.card).golden(golden, index))) }
            }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        let inOrder = (0..<golden.count).map { found[$0] ?? [] }
        let result = SelfTest(model.card, found: inOrder, expected: (0..<golden.count).map(golden.expected))
        XCTAssertTrue(result.passed, "\(result)")
    }

    func testASampleOfAnotherLengthOrKindIsRefused() throws {
        let card = try ModelCard.bundled()
        let inputs = Inputs(card)
        XCTAssertThrowsError(try inputs.array([]))
        XCTAssertThrowsError(try inputs.tokens([]))
        let channels = card.preprocessing.channels == 3 ? 1 : 3
        let image = try PixelImage(
            height: 1, width: 1, channels: channels, bytes: [UInt8](repeating: 0, count: channels))
        XCTAssertThrowsError(try inputs.image(image)) { error in
            XCTAssertTrue(error.localizedDescription.contains("wanted"), error.localizedDescription)
        }
    }

    func testNormalisationScalesThenSubtractsThenDivides() {
        let found = Inputs.normalised([1, 2, 3, 4], scale: 2, mean: [1, 0], std: [2, 4])
        XCTAssertEqual(found, [0.5, 1, 2.5, 2])
    }
}
