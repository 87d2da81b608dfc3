import Foundation

/// Antialiased bilinear resizing in whole numbers: the same bytes as on the workstation.
///
/// A triangle filter, stretched by the factor of reduction, across the columns and then down the rows, rounded after
/// each. Accelerate's own scaling filters otherwise, and a model sees the difference.
enum Resize {
    static let precisionBits = 22

    /// Which pixels of a line make one pixel of the resized line, and with what weight.
    struct Taps: Equatable {
        var indices: [Int] = []
        var weights: [Int32] = []
    }

    static func resized(_ image: PixelImage, height: Int, width: Int) throws -> PixelImage {
        var current = image
        if current.width != width {
            current = try columns(current, to: width)
        }
        if current.height != height {
            current = try rows(current, to: height)
        }
        return current
    }

    /// Taps of every pixel of a line of `target` pixels that is made from one of `source` pixels.
    ///
    /// Lengths are in units of 1 / (2 * target) source pixels, so that every centre and every height of the triangle is
    /// a whole number, and nothing is rounded before the weights are.
    static func taps(source: Int, target: Int) -> [Taps] {
        let reach = 2 * max(source, target)
        return (0..<target).map { pixel in
            let centre = (2 * pixel + 1) * source
            let first = floorDivided(centre - reach - target, by: 2 * target) + 1
            let count = (reach + target - 1) / target + 1
            var heights: [(index: Int, height: Int)] = []
            for index in first..<(first + count) where index >= 0 && index < source {
                let height = reach - abs((2 * index + 1) * target - centre)
                if height > 0 {
                    heights.append((index, height))
                }
            }
            let sum = heights.reduce(0) { $0 + $1.height }
            return Taps(
                indices: heights.map(\.index),
                weights: heights.map { Int32((($0.height << (precisionBits + 1)) + sum) / (2 * sum)) })
        }
    }

    private static func columns(_ image: PixelImage, to width: Int) throws -> PixelImage {
        let channels = image.channels
        let taps = taps(source: image.width, target: width)
        var bytes = [UInt8](repeating: 0, count: image.height * width * channels)
        for row in 0..<image.height {
            for column in 0..<width {
                for channel in 0..<channels {
                    bytes[(row * width + column) * channels + channel] = blended(taps[column]) { index in
                        image.bytes[(row * image.width + index) * channels + channel]
                    }
                }
            }
        }
        return try PixelImage(height: image.height, width: width, channels: channels, bytes: bytes)
    }

    private static func rows(_ image: PixelImage, to height: Int) throws -> PixelImage {
        let line = image.width * image.channels
        let taps = taps(source: image.height, target: height)
        var bytes = [UInt8](repeating: 0, count: height * line)
        for row in 0..<height {
            for place in 0..<line {
                bytes[row * line + place] = blended(taps[row]) { index in image.bytes[index * line + place] }
            }
        }
        return try PixelImage(height: height, width: image.width, channels: image.channels, bytes: bytes)
    }

    private static func blended(_ taps: Taps, _ pixel: (Int) -> UInt8) -> UInt8 {
        var total = Int32(1) << Int32(precisionBits - 1)
        for (index, weight) in zip(taps.indices, taps.weights) {
            total += Int32(pixel(index)) * weight
        }
        return UInt8(min(total >> Int32(precisionBits), 255))
    }

    private static func floorDivided(_ value: Int, by divisor: Int) -> Int {
        let quotient = value / divisor
        return value % divisor < 0 ? quotient - 1 : quotient
    }
}
