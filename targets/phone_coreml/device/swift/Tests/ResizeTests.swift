import XCTest

@testable import {{module}}

/// Resizing gives the bytes that the workstation computed.
final class ResizeTests: XCTestCase {
    struct Fixture: Decodable {
        struct Image: Decodable {
            let height: Int
            let width: Int
            let channels: Int
            let bytes: [UInt8]
        }

        let source: Image
        let resized: [Image]
    }

    func testBytesAreThoseOfTheWorkstation() throws {
        #if SWIFT_PACKAGE
        let bundle = Bundle.module
        #else
        let bundle = Bundle(for: Self.self)
        #endif
        let url = try XCTUnwrap(bundle.url(forResource: "resize", withExtension: "json"))
        let fixture = try JSONDecoder().decode(Fixture.self, from: Data(contentsOf: url))
        for wanted in fixture.resized {
            let found = try Resize.resized(pixels(fixture.source), height: wanted.height, width: wanted.width)
            XCTAssertEqual(found, try pixels(wanted))
        }
    }

    func testAnImageOfTheRightSizeStaysAsItIs() throws {
        let image = try PixelImage(height: 2, width: 2, channels: 1, bytes: [1, 2, 3, 4])
        XCTAssertEqual(try Resize.resized(image, height: 2, width: 2), image)
    }

    func testWeightsOfOnePixelSumToOne() {
        let taps = Resize.taps(source: 7, target: 3)
        for pixel in 0..<3 {
            let weights = taps.weights[taps.offsets[pixel]..<taps.offsets[pixel + 1]]
            let sum = weights.reduce(0) { $0 + Int($1) }
            XCTAssertEqual(sum, 1 << Int(Resize.precisionBits), accuracy: weights.count)
        }
    }

    private func pixels(_ image: Fixture.Image) throws -> PixelImage {
        try PixelImage(height: image.height, width: image.width, channels: image.channels, bytes: image.bytes)
    }
}
