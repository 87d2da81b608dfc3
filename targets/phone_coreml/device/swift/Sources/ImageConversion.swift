import Accelerate
import CoreGraphics
import CoreVideo
import Foundation
import ImageIO

extension PixelImage {
    /// Takes the pixels of an image: in sRGB, or as they are stored where image and model are grey and nothing is
    /// transparent.
    ///
    /// Transparency is dropped, as in training; nothing is laid behind it.
    public init(_ image: CGImage, channels: Int, orientation: CGImagePropertyOrientation = .up) throws {
        let stored: [UInt8]
        if channels == 1, image.isOpaque, let space = image.colorSpace, space.model == .monochrome {
            stored = try Self.greyPixels(of: image, in: space)
        } else {
            let colours = try Self.redGreenBlue(of: image)
            stored = channels == 1 ? Self.grey(from: colours) : colours
        }
        let pixels = try PixelImage(height: image.height, width: image.width, channels: channels, bytes: stored)
        self = try pixels.upright(orientation)
    }

    /// Takes the pixels of a camera's frame, in BGRA or one channel of 8 bits.
    public init(_ frame: CVPixelBuffer, channels: Int, orientation: CGImagePropertyOrientation = .up) throws {
        CVPixelBufferLockBaseAddress(frame, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(frame, .readOnly) }
        let (height, width) = (CVPixelBufferGetHeight(frame), CVPixelBufferGetWidth(frame))
        let buffer = vImage_Buffer(
            data: CVPixelBufferGetBaseAddress(frame),
            height: vImagePixelCount(height),
            width: vImagePixelCount(width),
            rowBytes: CVPixelBufferGetBytesPerRow(frame))
        let stored: [UInt8]
        switch (CVPixelBufferGetPixelFormatType(frame), channels) {
        case (kCVPixelFormatType_32BGRA, 1):
            stored = Self.grey(from: try Self.packed(buffer, by: vImageConvert_BGRA8888toRGB888))
        case (kCVPixelFormatType_32BGRA, _):
            stored = try Self.packed(buffer, by: vImageConvert_BGRA8888toRGB888)
        case (kCVPixelFormatType_OneComponent8, 1):
            stored = Self.rows(of: buffer)
        default:
            throw ModelError.wrongInput(
                found: "a frame of another pixel format",
                wanted: "kCVPixelFormatType_32BGRA (a camera gives it where its output's videoSettings ask for it)")
        }
        let pixels = try PixelImage(height: height, width: width, channels: channels, bytes: stored)
        self = try pixels.upright(orientation)
    }

    private static func redGreenBlue(of image: CGImage) throws -> [UInt8] {
        guard let space = CGColorSpace(name: CGColorSpace.sRGB) else {
            throw ModelError.imageConversion(kvImageNoError)
        }
        // alpha behind the colours, which are not multiplied by it: dropping it leaves them as they were
        let buffer = try buffer(of: image, in: space, channels: 4, alpha: .last)
        defer { buffer.free() }
        return try packed(buffer, by: vImageConvert_RGBA8888toRGB888)
    }

    private static func greyPixels(of image: CGImage, in space: CGColorSpace) throws -> [UInt8] {
        let buffer = try buffer(of: image, in: space, channels: 1, alpha: .none)
        defer { buffer.free() }
        return rows(of: buffer)
    }

    private static func buffer(
        of image: CGImage, in space: CGColorSpace, channels: Int, alpha: CGImageAlphaInfo
    ) throws -> vImage_Buffer {
        guard
            let format = vImage_CGImageFormat(
                bitsPerComponent: 8,
                bitsPerPixel: 8 * channels,
                colorSpace: space,
                bitmapInfo: CGBitmapInfo(rawValue: alpha.rawValue))
        else {
            throw ModelError.wrongInput(found: "an image in a colour space without 8-bit pixels", wanted: "grey or RGB")
        }
        return try vImage_Buffer(cgImage: image, format: format)
    }

    private typealias Conversion = (
        UnsafePointer<vImage_Buffer>, UnsafePointer<vImage_Buffer>, vImage_Flags
    ) -> vImage_Error

    /// Three bytes per pixel of a buffer that has four.
    private static func packed(_ buffer: vImage_Buffer, by convert: Conversion) throws -> [UInt8] {
        let (height, width) = (Int(buffer.height), Int(buffer.width))
        var source = buffer
        var status = vImage_Error(kvImageNoError)
        let bytes = [UInt8](unsafeUninitializedCapacity: height * width * 3) { pointer, count in
            var target = vImage_Buffer(
                data: pointer.baseAddress, height: buffer.height, width: buffer.width, rowBytes: width * 3)
            status = convert(&source, &target, vImage_Flags(kvImageNoFlags))
            count = status == kvImageNoError ? height * width * 3 : 0
        }
        guard status == kvImageNoError else { throw ModelError.imageConversion(status) }
        return bytes
    }

    /// The bytes of a buffer of one channel, without what pads its rows.
    private static func rows(of buffer: vImage_Buffer) -> [UInt8] {
        let (height, width) = (Int(buffer.height), Int(buffer.width))
        return [UInt8](unsafeUninitializedCapacity: height * width) { target, count in
            for row in 0..<height {
                UnsafeMutableRawPointer(target.baseAddress!).advanced(by: row * width)
                    .copyMemory(from: buffer.data.advanced(by: row * buffer.rowBytes), byteCount: width)
            }
            count = height * width
        }
    }

    /// A buffer that Core ML takes as an image.
    public func pixelBuffer() throws -> CVPixelBuffer {
        let format = channels == 1 ? kCVPixelFormatType_OneComponent8 : kCVPixelFormatType_32BGRA
        // memory that the Neural Engine and the GPU read without a copy
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
        guard let base = CVPixelBufferGetBaseAddress(buffer) else {
            throw ModelError.imageConversion(Int(kCVReturnSuccess))
        }
        let rowBytes = CVPixelBufferGetBytesPerRow(buffer)
        try bytes.withUnsafeBytes { pixels in
            if channels == 1 {
                for row in 0..<height {
                    base.advanced(by: row * rowBytes)
                        .copyMemory(from: pixels.baseAddress!.advanced(by: row * width), byteCount: width)
                }
                return
            }
            var source = vImage_Buffer(
                data: UnsafeMutableRawPointer(mutating: pixels.baseAddress),  // only read
                height: vImagePixelCount(height),
                width: vImagePixelCount(width),
                rowBytes: width * 3)
            var target = vImage_Buffer(
                data: base,
                height: vImagePixelCount(height),
                width: vImagePixelCount(width),
                rowBytes: rowBytes)
            let flags = vImage_Flags(kvImageNoFlags)
            let status = vImageConvert_RGB888toBGRA8888(&source, nil, 255, &target, false, flags)
            guard status == kvImageNoError else { throw ModelError.imageConversion(status) }
        }
    }
}

extension CGImage {
    /// Whether no pixel can be transparent.
    fileprivate var isOpaque: Bool {
        switch alphaInfo {
        case .none, .noneSkipFirst, .noneSkipLast: return true
        default: return false
        }
    }
}
