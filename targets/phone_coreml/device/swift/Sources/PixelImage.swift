import Foundation
import ImageIO

/// Pixels, 8 bits each: rows from the top, channels interleaved (grey, or red, green, blue).
public struct PixelImage: Equatable, Sendable {
    public let height: Int
    public let width: Int
    public let channels: Int
    public let bytes: [UInt8]

    /// - Throws: `ModelError.wrongInput` if the number of bytes is not `height * width * channels`.
    public init(height: Int, width: Int, channels: Int, bytes: [UInt8]) throws {
        guard height > 0, width > 0, channels == 1 || channels == 3, bytes.count == height * width * channels else {
            throw ModelError.wrongInput(
                found: "\(bytes.count) bytes", wanted: "\(height) x \(width) pixels of \(channels) channels, 1 or 3")
        }
        self.height = height
        self.width = width
        self.channels = channels
        self.bytes = bytes
    }

    /// The image as it is to be looked at: turned and mirrored as a camera's orientation says.
    public func upright(_ orientation: CGImagePropertyOrientation) throws -> PixelImage {
        let (right, bottom) = (width - 1, height - 1)
        switch orientation {
        case .up: return self
        case .upMirrored: return try rearranged(height, width) { row, column in (row, right - column) }
        case .down: return try rearranged(height, width) { row, column in (bottom - row, right - column) }
        case .downMirrored: return try rearranged(height, width) { row, column in (bottom - row, column) }
        case .leftMirrored: return try rearranged(width, height) { row, column in (column, row) }
        case .right: return try rearranged(width, height) { row, column in (bottom - column, row) }
        case .rightMirrored: return try rearranged(width, height) { row, column in (bottom - column, right - row) }
        case .left: return try rearranged(width, height) { row, column in (column, right - row) }
        @unknown default:
            throw ModelError.wrongInput(found: "orientation \(orientation.rawValue)", wanted: "1 to 8")
        }
    }

    /// Makes an image of a size whose pixel at (row, column) is this one's at `source(row, column)`.
    private func rearranged(
        _ height: Int, _ width: Int, _ source: (Int, Int) -> (row: Int, column: Int)
    ) throws -> PixelImage {
        let made = [UInt8](unsafeUninitializedCapacity: bytes.count) { target, count in
            var place = 0
            for row in 0..<height {
                for column in 0..<width {
                    let from = source(row, column)
                    let start = (from.row * self.width + from.column) * channels
                    for channel in 0..<channels {
                        target[place] = bytes[start + channel]
                        place += 1
                    }
                }
            }
            count = place
        }
        return try PixelImage(height: height, width: width, channels: channels, bytes: made)
    }

    /// Luma of ITU-R BT.601 in 16-bit fractions, as Pillow's `convert("L")` computes it.
    static func grey(from colours: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: colours.count / 3) { target, count in
            count = colours.count / 3
            for pixel in 0..<count {
                let red = Int(colours[3 * pixel]) * 19595
                let green = Int(colours[3 * pixel + 1]) * 38470
                let blue = Int(colours[3 * pixel + 2]) * 7471
                target[pixel] = UInt8((red + green + blue + 0x8000) >> 16)
            }
        }
    }
}
