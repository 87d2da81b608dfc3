import Foundation

/// Antialiased bilinear resizing in whole numbers: the same bytes as on the workstation.
///
/// A triangle filter, stretched by the factor of reduction, across the columns and then down the rows, rounded after
/// each. Accelerate's own scaling filters otherwise, and a model sees the difference.
enum Resize {
    static let precisionBits: Int32 = 22

    /// Which pixels of a line make each pixel of the resized line, and with what weights.
    ///
    /// Pixel `i` is made from those that begin at `starts[i]`, with the weights from `offsets[i]` up to
    /// `offsets[i + 1]`.
    struct Taps: Equatable {
        var starts: [Int] = []
        var offsets: [Int] = [0]
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
    static func taps(source: Int, target: Int) -> Taps {
        let reach = 2 * max(source, target)
        var taps = Taps()
        for pixel in 0..<target {
            let centre = (2 * pixel + 1) * source
            var index = max((centre - reach - target) / (2 * target), 0)
            while abs((2 * index + 1) * target - centre) >= reach {
                index += 1
            }
            taps.starts.append(index)
            var heights: [Int] = []
            while index < source, abs((2 * index + 1) * target - centre) < reach {
                heights.append(reach - abs((2 * index + 1) * target - centre))
                index += 1
            }
            let sum = heights.reduce(0, +)
            for height in heights {
                let share = (height << (Int(precisionBits) + 1)) + sum
                taps.weights.append(Int32(share / (2 * sum)))
            }
            taps.offsets.append(taps.weights.count)
        }
        return taps
    }

    private static func columns(_ image: PixelImage, to width: Int) throws -> PixelImage {
        let (height, channels) = (image.height, image.channels)
        let taps = taps(source: image.width, target: width)
        let bytes = filled(count: height * width * channels, from: image.bytes, taps) { source, target, weights in
            var place = 0
            for row in 0..<height {
                for column in 0..<width {
                    let start = (row * image.width + taps.starts[column]) * channels
                    for channel in 0..<channels {
                        var (total, from) = (half, start + channel)
                        for tap in taps.offsets[column]..<taps.offsets[column + 1] {
                            total &+= Int32(source[from]) &* weights[tap]
                            from += channels
                        }
                        target[place] = rounded(total)
                        place += 1
                    }
                }
            }
        }
        return try PixelImage(height: height, width: width, channels: channels, bytes: bytes)
    }

    private static func rows(_ image: PixelImage, to height: Int) throws -> PixelImage {
        let line = image.width * image.channels
        let taps = taps(source: image.height, target: height)
        var totals = [Int32](repeating: 0, count: line)
        let bytes = filled(count: height * line, from: image.bytes, taps) { source, target, weights in
            totals.withUnsafeMutableBufferPointer { totals in
                for row in 0..<height {
                    totals.update(repeating: half)
                    for (index, tap) in (taps.offsets[row]..<taps.offsets[row + 1]).enumerated() {
                        let (from, weight) = ((taps.starts[row] + index) * line, weights[tap])
                        for place in 0..<line {
                            totals[place] &+= Int32(source[from + place]) &* weight
                        }
                    }
                    for place in 0..<line {
                        target[row * line + place] = rounded(totals[place])
                    }
                }
            }
        }
        return try PixelImage(height: height, width: image.width, channels: image.channels, bytes: bytes)
    }

    /// Bytes that a closure writes, all of them, with unchecked access to a photograph's millions of pixels.
    private static func filled(
        count: Int, from source: [UInt8], _ taps: Taps,
        _ write: (UnsafeBufferPointer<UInt8>, UnsafeMutableBufferPointer<UInt8>, UnsafeBufferPointer<Int32>) -> Void
    ) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { target, written in
            source.withUnsafeBufferPointer { source in
                taps.weights.withUnsafeBufferPointer { write(source, target, $0) }
            }
            written = count
        }
    }

    private static let half = Int32(1) << (precisionBits - 1)

    /// A sum fits: weights of one pixel are not negative and sum to 2^22, give or take half their number.
    private static func rounded(_ total: Int32) -> UInt8 {
        UInt8(min(total >> precisionBits, 255))
    }
}
