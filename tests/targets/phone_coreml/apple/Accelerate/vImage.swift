// Ours, not Apple's: declarations of vImage that the sources use, written plainly. See README.md.
@_exported import CoreGraphics
import Foundation

public typealias vImage_Error = Int
public typealias vImage_Flags = UInt32
public typealias vImagePixelCount = UInt
public typealias Pixel_8 = UInt8
public let kvImageNoError = 0
public let kvImageNoFlags = 0
public let kvImageRoiLargerThanInputBuffer = -21766

public struct vImage_Buffer {
    public var data: UnsafeMutableRawPointer!
    public var height: vImagePixelCount
    public var width: vImagePixelCount
    public var rowBytes: Int

    public init(data: UnsafeMutableRawPointer!, height: vImagePixelCount, width: vImagePixelCount, rowBytes: Int) {
        (self.data, self.height, self.width, self.rowBytes) = (data, height, width, rowBytes)
    }
}

public struct vImage_CGImageFormat {
    public let bitsPerComponent, bitsPerPixel: Int
    public let colorSpace: CGColorSpace
    public let bitmapInfo: CGBitmapInfo

    public init?(
        bitsPerComponent: Int, bitsPerPixel: Int, colorSpace: CGColorSpace, bitmapInfo: CGBitmapInfo,
        renderingIntent: CGColorRenderingIntent = .defaultIntent
    ) {
        guard bitsPerComponent == 8, bitsPerPixel % 8 == 0 else { return nil }
        (self.bitsPerComponent, self.bitsPerPixel) = (bitsPerComponent, bitsPerPixel)
        (self.colorSpace, self.bitmapInfo) = (colorSpace, bitmapInfo)
    }
}

public enum vImage {
    public struct Options: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let noFlags = Options([])
    }

    public enum Error: Int, Swift.Error, Sendable {
        case invalidImageFormat = -21778
        case internalError = -21776
    }
}

extension vImage_Buffer {
    /// Copies the pixels of an image; without colour management, so grey becomes three equal channels.
    public init(cgImage: CGImage, format: vImage_CGImageFormat, flags: vImage.Options = .noFlags) throws {
        guard cgImage.bitsPerComponent == 8, let source = cgImage.dataProvider?.data, let space = cgImage.colorSpace,
            !(space.model == .rgb && format.colorSpace.model == .monochrome)
        else { throw vImage.Error.invalidImageFormat }
        let (from, to) = (cgImage.bitsPerPixel / 8, format.bitsPerPixel / 8)
        let grey = space.model == .monochrome
        let data = UnsafeMutableRawPointer.allocate(byteCount: cgImage.width * cgImage.height * to, alignment: 64)
        for row in 0..<cgImage.height {
            for column in 0..<cgImage.width {
                let pixel = source.bytes + row * cgImage.bytesPerRow + column * from
                for channel in 0..<to {
                    let place = grey ? 0 : channel
                    let value = channel == 3 ? 255 : pixel.load(fromByteOffset: place, as: UInt8.self)
                    data.storeBytes(
                        of: value, toByteOffset: (row * cgImage.width + column) * to + channel, as: UInt8.self)
                }
            }
        }
        self.init(
            data: data, height: vImagePixelCount(cgImage.height), width: vImagePixelCount(cgImage.width),
            rowBytes: cgImage.width * to)
    }

    public func free() { data.deallocate() }
}

@discardableResult
public func vImageConvert_RGBA8888toRGB888(
    _ src: UnsafePointer<vImage_Buffer>, _ dest: UnsafePointer<vImage_Buffer>, _ flags: vImage_Flags
) -> vImage_Error {
    converted(src, dest, from: 4, to: [0, 1, 2])
}

@discardableResult
public func vImageConvert_BGRA8888toRGB888(
    _ src: UnsafePointer<vImage_Buffer>, _ dest: UnsafePointer<vImage_Buffer>, _ flags: vImage_Flags
) -> vImage_Error {
    converted(src, dest, from: 4, to: [2, 1, 0])
}

@discardableResult
public func vImageConvert_RGB888toBGRA8888(
    _ rgbSrc: UnsafePointer<vImage_Buffer>, _ aSrc: UnsafePointer<vImage_Buffer>?, _ alpha: Pixel_8,
    _ bgraDest: UnsafePointer<vImage_Buffer>, _ premultiply: Bool, _ flags: vImage_Flags
) -> vImage_Error {
    precondition(aSrc == nil && !premultiply, "the stand-in knows one alpha for all pixels only")
    return converted(rgbSrc, bgraDest, from: 3, to: [2, 1, 0, nil], otherwise: alpha)
}

private func converted(
    _ src: UnsafePointer<vImage_Buffer>, _ dest: UnsafePointer<vImage_Buffer>, from: Int, to: [Int?],
    otherwise: UInt8 = 0
) -> vImage_Error {
    let (source, target) = (src.pointee, dest.pointee)
    guard target.width <= source.width, target.height <= source.height else { return kvImageRoiLargerThanInputBuffer }
    for row in 0..<Int(target.height) {
        for column in 0..<Int(target.width) {
            for (channel, place) in to.enumerated() {
                let value = place.map {
                    source.data.load(fromByteOffset: row * source.rowBytes + column * from + $0, as: UInt8.self)
                }
                let offset = row * target.rowBytes + column * to.count + channel
                target.data.storeBytes(of: value ?? otherwise, toByteOffset: offset, as: UInt8.self)
            }
        }
    }
    return kvImageNoError
}
