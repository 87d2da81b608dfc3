import Accelerate
import CoreGraphics
import CoreVideo
import Foundation

/// Pixels, 8 bits each: rows from the top, channels interleaved (grey, or red, green, blue).
public struct PixelImage: Equatable, Sendable {
    public let height: Int
    public let width: Int
    public let channels: Int
    public let bytes: [UInt8]

    /// - Throws: `ModelError.wrongInput` if the number of bytes is not `height * width * channels`.
    public init(height: Int, width: Int, channels: Int, bytes: [UInt8]) throws {
        guard height > 0, width > 0, bytes.count == height * width * channels else {
            throw ModelError.wrongInput(
                found: "\(bytes.count) bytes", wanted: "\(height) x \(width) x \(channels)")
        }
        self.height = height
        self.width = width
        self.channels = channels
        self.bytes = bytes
    }

    /// Takes the pixels of an image in sRGB; its orientation is the caller's to apply.
    public init(_ image: CGImage, channels: Int) throws {
        let colours = try Self.redGreenBlue(of: image)
        let bytes = channels == 1 ? Self.grey(from: colours) : colours
        try self.init(height: image.height, width: image.width, channels: channels, bytes: bytes)
    }

    private static func redGreenBlue(of image: CGImage) throws -> [UInt8] {
        guard let space = CGColorSpace(name: CGColorSpace.sRGB),
            let format = vImage_CGImageFormat(
                bitsPerComponent: 8,
                bitsPerPixel: 32,
                colorSpace: space,
                bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.noneSkipLast.rawValue))
        else {
            throw ModelError.wrongInput(found: "an image without a colour space", wanted: "sRGB")
        }
        var source = try vImage_Buffer(cgImage: image, format: format)
        defer { source.free() }
        var bytes = [UInt8](repeating: 0, count: image.height * image.width * 3)
        let status = bytes.withUnsafeMutableBytes { pointer -> vImage_Error in
            var packed = vImage_Buffer(
                data: pointer.baseAddress,
                height: vImagePixelCount(image.height),
                width: vImagePixelCount(image.width),
                rowBytes: image.width * 3)
            return vImageConvert_RGBA8888toRGB888(&source, &packed, vImage_Flags(kvImageNoFlags))
        }
        guard status == kvImageNoError else { throw ModelError.imageConversion(status) }
        return bytes
    }

    /// Luma of ITU-R BT.601 in 16-bit fractions, as Pillow's `convert("L")` computes it.
    static func grey(from colours: [UInt8]) -> [UInt8] {
        stride(from: 0, to: colours.count, by: 3).map { index in
            let red = Int(colours[index]) * 19595
            let green = Int(colours[index + 1]) * 38470
            let blue = Int(colours[index + 2]) * 7471
            return UInt8((red + green + blue + 0x8000) >> 16)
        }
    }

    /// A buffer that Core ML takes as an image.
    public func pixelBuffer() throws -> CVPixelBuffer {
        let format = channels == 1 ? kCVPixelFormatType_OneComponent8 : kCVPixelFormatType_32BGRA
        let attributes = [kCVPixelBufferIOSurfacePropertiesKey: [:] as CFDictionary] as CFDictionary
        var created: CVPixelBuffer?
        let status = CVPixelBufferCreate(kCFAllocatorDefault, width, height, format, attributes, &created)
        guard status == kCVReturnSuccess, let buffer = created else {
            throw ModelError.imageConversion(Int(status))
        }
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        try fill(buffer)
        return buffer
    }

    private func fill(_ buffer: CVPixelBuffer) throws {
        guard let base = CVPixelBufferGetBaseAddress(buffer) else { throw ModelError.imageConversion(0) }
        let rowBytes = CVPixelBufferGetBytesPerRow(buffer)
        if channels == 1 {
            bytes.withUnsafeBytes { source in
                for row in 0..<height {
                    let from = source.baseAddress!.advanced(by: row * width)
                    base.advanced(by: row * rowBytes).copyMemory(from: from, byteCount: width)
                }
            }
            return
        }
        var copy = bytes
        let status = copy.withUnsafeMutableBytes { pointer -> vImage_Error in
            var source = vImage_Buffer(
                data: pointer.baseAddress,
                height: vImagePixelCount(height),
                width: vImagePixelCount(width),
                rowBytes: width * 3)
            var target = vImage_Buffer(
                data: base,
                height: vImagePixelCount(height),
                width: vImagePixelCount(width),
                rowBytes: rowBytes)
            return vImageConvert_RGB888toBGRA8888(&source, nil, 255, &target, false, vImage_Flags(kvImageNoFlags))
        }
        guard status == kvImageNoError else { throw ModelError.imageConversion(status) }
    }
}
