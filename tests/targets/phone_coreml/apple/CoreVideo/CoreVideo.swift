// Ours, not Apple's: declarations of Core Video that the sources use, working in plain memory. See README.md.
@_exported import CoreGraphics
import Foundation

public typealias CVReturn = Int32
public typealias OSType = UInt32
public let kCVReturnSuccess: CVReturn = 0
public let kCVReturnInvalidPixelFormat: CVReturn = -6680
public let kCVPixelFormatType_OneComponent8: OSType = 0x4C30_3038
public let kCVPixelFormatType_32BGRA: OSType = 0x4247_5241
public let kCVPixelFormatType_420YpCbCr8BiPlanarFullRange: OSType = 0x3432_3066
public let kCVPixelBufferIOSurfacePropertiesKey: CFString = "IOSurfaceProperties"

public struct CVPixelBufferLockFlags: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static let readOnly = CVPixelBufferLockFlags(rawValue: 1)
}

public class CVBuffer {
    let width, height, bytesPerRow: Int
    let format: OSType
    let base: UnsafeMutableRawPointer
    var locks = 0

    init(width: Int, height: Int, format: OSType, bytesPerPixel: Int) {
        (self.width, self.height, self.format) = (width, height, format)
        bytesPerRow = (width * bytesPerPixel + 63) / 64 * 64  // as on a device, rows are longer than their pixels
        base = .allocate(byteCount: max(bytesPerRow * height, 1), alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: 0xA5, count: bytesPerRow * height)
    }

    deinit {
        precondition(locks == 0, "a pixel buffer was left locked")
        base.deallocate()
    }
}

public typealias CVImageBuffer = CVBuffer
public typealias CVPixelBuffer = CVImageBuffer

@discardableResult
public func CVPixelBufferCreate(
    _ allocator: CFAllocator?, _ width: Int, _ height: Int, _ pixelFormatType: OSType,
    _ pixelBufferAttributes: CFDictionary?, _ pixelBufferOut: UnsafeMutablePointer<CVPixelBuffer?>
) -> CVReturn {
    let sizes = [
        kCVPixelFormatType_OneComponent8: 1, kCVPixelFormatType_32BGRA: 4,
        kCVPixelFormatType_420YpCbCr8BiPlanarFullRange: 2,
    ]
    guard let size = sizes[pixelFormatType] else { return kCVReturnInvalidPixelFormat }
    pixelBufferOut.pointee = CVBuffer(width: width, height: height, format: pixelFormatType, bytesPerPixel: size)
    return kCVReturnSuccess
}

@discardableResult
public func CVPixelBufferLockBaseAddress(_ pixelBuffer: CVPixelBuffer, _ lockFlags: CVPixelBufferLockFlags) -> CVReturn {
    pixelBuffer.locks += 1
    return kCVReturnSuccess
}

@discardableResult
public func CVPixelBufferUnlockBaseAddress(
    _ pixelBuffer: CVPixelBuffer, _ unlockFlags: CVPixelBufferLockFlags
) -> CVReturn {
    pixelBuffer.locks -= 1
    return kCVReturnSuccess
}

/// Nil unless the buffer is locked, as Core Video documents it.
public func CVPixelBufferGetBaseAddress(_ pixelBuffer: CVPixelBuffer) -> UnsafeMutableRawPointer? {
    pixelBuffer.locks > 0 ? pixelBuffer.base : nil
}

public func CVPixelBufferGetBytesPerRow(_ pixelBuffer: CVPixelBuffer) -> Int { pixelBuffer.bytesPerRow }
public func CVPixelBufferGetWidth(_ pixelBuffer: CVPixelBuffer) -> Int { pixelBuffer.width }
public func CVPixelBufferGetHeight(_ pixelBuffer: CVPixelBuffer) -> Int { pixelBuffer.height }
public func CVPixelBufferGetPixelFormatType(_ pixelBuffer: CVPixelBuffer) -> OSType { pixelBuffer.format }
