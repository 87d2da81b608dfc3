import XCTest

@testable import {{module}}

/// The comparison with golden outputs notices what it has to notice.
final class SelfTestTests: XCTestCase {
    private let golden: [[Float]] = [[0, 1, 2], [5, 4, 3]]

    func testTheSameOutputsPass() throws {
        let result = SelfTest(try ModelCard.bundled(), found: golden, expected: golden)
        XCTAssertTrue(result.passed)
        XCTAssertEqual(result.samples, 2)
        XCTAssertEqual(result.largestSteps, 0)
        XCTAssertEqual(result.identicalOutputs, 1)
    }

    func testAnOutputIsMeasuredInSteps() throws {
        let card = try ModelCard.bundled()
        for (steps, passes) in [(card.golden.maxSteps * 0.9, true), (card.golden.maxSteps * 1.1 + 0.1, false)] {
            let found = [[golden[0][0], golden[0][1], golden[0][2] + steps * card.output.step], golden[1]]
            let result = SelfTest(card, found: found, expected: golden)
            XCTAssertEqual(result.largestSteps, steps, accuracy: 1e-3 * steps + 1e-3)
            XCTAssertEqual(result.passed, passes)
            XCTAssertEqual(result.identicalOutputs, 5.0 / 6, accuracy: 1e-6)
            XCTAssertEqual(result.changedClasses, 0)
        }
    }

    func testAnotherClassFailsWhereThereAreClasses() throws {
        let card = try ModelCard.bundled()
        let result = SelfTest(card, found: [[2, 1, 0], golden[1]], expected: golden)
        XCTAssertEqual(result.changedClasses, card.classes.isEmpty ? 0 : 1)
        XCTAssertFalse(result.passed)
    }

    func testNoNumberFails() throws {
        let result = SelfTest(try ModelCard.bundled(), found: [[0, .nan, 2], golden[1]], expected: golden)
        XCTAssertEqual(result.largestSteps, .infinity)
        XCTAssertFalse(result.passed)
    }
}
