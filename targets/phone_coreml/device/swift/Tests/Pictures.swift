import CoreGraphics
import Foundation
import XCTest

/// Makes images as an app has them.
enum Pictures {
    /// An image in sRGB or in grey, with the bytes as they are.
    static func image(height: Int, width: Int, channels: Int, bytes: [UInt8]) throws -> CGImage {
        let name = channels == 1 ? CGColorSpace.genericGrayGamma2_2 : CGColorSpace.sRGB
        let image = CGImage(
            width: width,
            height: height,
            bitsPerComponent: 8,
            bitsPerPixel: 8 * channels,
            bytesPerRow: width * channels,
            space: try XCTUnwrap(CGColorSpace(name: name)),
            bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.none.rawValue),
            provider: try XCTUnwrap(CGDataProvider(data: NSData(data: Data(bytes)) as CFData)),
            decode: nil,
            shouldInterpolate: false,
            intent: .defaultIntent)
        return try XCTUnwrap(image)
    }
}
