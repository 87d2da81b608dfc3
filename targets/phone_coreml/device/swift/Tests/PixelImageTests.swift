import CoreGraphics
import CoreVideo
import ImageIO
import XCTest

@testable import {{module}}

/// Pixels keep their values on the way from an app's image to the model's input.
final class PixelImageTests: XCTestCase {
    private let colours: [UInt8] = [255, 0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150, 160]

    func testColoursOfAnImageStayAsTheyAre() throws {
        let image = try Pictures.image(height: 2, width: 3, channels: 3, bytes: colours)
        let found = try PixelImage(image, channels: 3)
        XCTAssertEqual(found, try PixelImage(height: 2, width: 3, channels: 3, bytes: colours))
    }

    func testGreyPixelsStayAsTheyAre() throws {
        let bytes: [UInt8] = [0, 1, 127, 128, 254, 255]
        let image = try Pictures.image(height: 2, width: 3, channels: 1, bytes: bytes)
        XCTAssertEqual(try PixelImage(image, channels: 1).bytes, bytes)
    }

    func testAGreyModelSeesTheLumaOfColours() throws {
        let image = try Pictures.image(height: 2, width: 3, channels: 3, bytes: colours)
        XCTAssertEqual(try PixelImage(image, channels: 1).bytes, PixelImage.grey(from: colours))
    }

    func testGreyIsTheLumaOfTheColours() {
        XCTAssertEqual(PixelImage.grey(from: [255, 255, 255, 0, 0, 0, 255, 0, 0]), [255, 0, 76])
    }

    func testATurnedImageIsSetUpright() throws {
        let image = try PixelImage(height: 2, width: 3, channels: 1, bytes: [1, 2, 3, 4, 5, 6])
        let wanted: [(CGImagePropertyOrientation, Int, [UInt8])] = [
            (.up, 2, [1, 2, 3, 4, 5, 6]), (.upMirrored, 2, [3, 2, 1, 6, 5, 4]),
            (.down, 2, [6, 5, 4, 3, 2, 1]), (.downMirrored, 2, [4, 5, 6, 1, 2, 3]),
            (.leftMirrored, 3, [1, 4, 2, 5, 3, 6]), (.right, 3, [4, 1, 5, 2, 6, 3]),
            (.rightMirrored, 3, [6, 3, 5, 2, 4, 1]), (.left, 3, [3, 6, 2, 5, 1, 4]),
        ]
        for (orientation, height, bytes) in wanted {
            let found = try image.upright(orientation)
            XCTAssertEqual(found.height, height, "orientation \(orientation.rawValue)")
            XCTAssertEqual(found.bytes, bytes, "orientation \(orientation.rawValue)")
        }
    }

    func testAFrameGivesThePixelsThatWereWrittenToIt() throws {
        for (channels, bytes) in [(3, colours), (1, Array(colours[0..<6]))] {
            let image = try PixelImage(height: 2, width: 3, channels: channels, bytes: bytes)
            XCTAssertEqual(try PixelImage(image.pixelBuffer(), channels: channels), image)
        }
    }

    func testColoursLieInAFrameAsBlueGreenRedAlpha() throws {
        let frame = try PixelImage(height: 1, width: 2, channels: 3, bytes: [1, 2, 3, 4, 5, 6]).pixelBuffer()
        CVPixelBufferLockBaseAddress(frame, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(frame, .readOnly) }
        let base = try XCTUnwrap(CVPixelBufferGetBaseAddress(frame))
        let found = (0..<8).map { base.load(fromByteOffset: $0, as: UInt8.self) }
        XCTAssertEqual(found, [3, 2, 1, 255, 6, 5, 4, 255])
    }

    func testAFrameOfAnotherFormatIsRefused() throws {
        var created: CVPixelBuffer?
        CVPixelBufferCreate(
            kCFAllocatorDefault, 4, 4, kCVPixelFormatType_420YpCbCr8BiPlanarFullRange, nil, &created)
        let frame = try XCTUnwrap(created)
        XCTAssertThrowsError(try PixelImage(frame, channels: 3)) { error in
            XCTAssertTrue(error.localizedDescription.contains("32BGRA"), error.localizedDescription)
        }
    }

    func testTooFewBytesAreRefused() {
        XCTAssertThrowsError(try PixelImage(height: 2, width: 2, channels: 3, bytes: [1, 2, 3])) { error in
            XCTAssertTrue(error.localizedDescription.contains("2 x 2 pixels"), error.localizedDescription)
        }
    }
}
