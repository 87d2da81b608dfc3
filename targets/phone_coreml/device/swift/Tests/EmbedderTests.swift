import XCTest

@testable import {{module}}

final class EmbedderTests: XCTestCase {
    func testAVectorIsMostSimilarToItself() {
        XCTAssertEqual(Embedder.similarity([1, 2], [1, 2]), 1, accuracy: 1e-6)
        XCTAssertEqual(Embedder.similarity([1, 0], [0, 1]), 0, accuracy: 1e-6)
    }
}
