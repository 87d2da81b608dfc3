// Ours, not Apple's: declarations of Core ML that the sources use. See README.md.
@_exported import CoreVideo
import Foundation

public protocol MLFeatureProvider {
    var featureNames: Set<String> { get }
    func featureValue(for featureName: String) -> MLFeatureValue?
}

open class MLFeatureValue: NSObject {
    public let multiArrayValue: MLMultiArray?
    public let imageBufferValue: CVPixelBuffer?

    public init(pixelBuffer value: CVPixelBuffer) {
        imageBufferValue = value
        multiArrayValue = nil
    }

    public init(multiArray value: MLMultiArray) {
        multiArrayValue = value
        imageBufferValue = nil
    }

    @available(iOS 15.0, macOS 12.0, *)
    public convenience init<ShapedArray: MLShapedArrayProtocol>(shapedArray: ShapedArray) {
        self.init(multiArray: MLMultiArray(shapedArray))
    }
}

open class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
    public let dictionary: [String: MLFeatureValue]

    public init(dictionary: [String: Any]) throws {
        self.dictionary = try dictionary.mapValues { value in
            guard let feature = value as? MLFeatureValue else {
                throw MLModelError(code: .featureType, message: "\(type(of: value)) is no feature")
            }
            return feature
        }
    }

    public var featureNames: Set<String> { Set(dictionary.keys) }
    public func featureValue(for featureName: String) -> MLFeatureValue? { dictionary[featureName] }
}

public enum MLMultiArrayDataType: Int, Sendable {
    case float32 = 65568
    case int32 = 131104
}

open class MLMultiArray: NSObject {
    public let shape: [NSNumber]
    public let dataType: MLMultiArrayDataType
    var words: [UInt32]

    init(shape: [Int], dataType: MLMultiArrayDataType, words: [UInt32]) {
        (self.shape, self.dataType, self.words) = (shape.map { NSNumber(value: $0) }, dataType, words)
    }

    @available(iOS 15.0, macOS 12.0, *)
    public convenience init<ShapedArray: MLShapedArrayProtocol>(_ shapedArray: ShapedArray) {
        self.init(
            shape: shapedArray.shape, dataType: ShapedArray.Scalar.multiArrayDataType,
            words: shapedArray.scalars.map(\.word))
    }

    public var count: Int { words.count }
}

public protocol MLShapedArrayScalar {
    static var multiArrayDataType: MLMultiArrayDataType { get }
    var word: UInt32 { get }
    init(word: UInt32, of dataType: MLMultiArrayDataType)
}

extension Float: MLShapedArrayScalar {
    public static var multiArrayDataType: MLMultiArrayDataType { .float32 }
    public var word: UInt32 { bitPattern }
    public init(word: UInt32, of dataType: MLMultiArrayDataType) {
        self = dataType == .float32 ? Float(bitPattern: word) : Float(Int32(bitPattern: word))
    }
}

extension Int32: MLShapedArrayScalar {
    public static var multiArrayDataType: MLMultiArrayDataType { .int32 }
    public var word: UInt32 { UInt32(bitPattern: self) }
    public init(word: UInt32, of dataType: MLMultiArrayDataType) {
        self = dataType == .int32 ? Int32(bitPattern: word) : Int32(Float(bitPattern: word))
    }
}

public protocol MLShapedArrayProtocol {
    associatedtype Scalar: MLShapedArrayScalar
    var shape: [Int] { get }
    var scalars: [Scalar] { get }
    init<S: Sequence>(scalars: S, shape: [Int]) where S.Element == Scalar
    init(converting multiArray: MLMultiArray)
}

@available(iOS 15.0, macOS 12.0, *)
public struct MLShapedArray<Scalar: MLShapedArrayScalar>: MLShapedArrayProtocol {
    public let shape: [Int]
    public let scalars: [Scalar]

    public init<S: Sequence>(scalars: S, shape: [Int]) where S.Element == Scalar {
        self.scalars = Array(scalars)
        self.shape = shape
        precondition(self.scalars.count == shape.reduce(1, *), "as many scalars as the shape says")
    }

    public init(converting multiArray: MLMultiArray) {
        self.init(
            scalars: multiArray.words.map { Scalar(word: $0, of: multiArray.dataType) },
            shape: multiArray.shape.map(\.intValue))
    }
}
