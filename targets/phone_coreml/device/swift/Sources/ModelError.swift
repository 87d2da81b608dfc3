import Foundation

/// What can go wrong, besides what Core ML itself throws.
public enum ModelError: Error, Equatable, Sendable {
    /// A file of this package is not there.
    case missingResource(String)
    /// A sample is not of the kind or the size that the model takes.
    case wrongInput(found: String, wanted: String)
    /// The model gave something else than its card says.
    case wrongOutput(String)
    /// A file is not the one that was built.
    case notWhatWasBuilt(String)
    /// Accelerate or Core Video refused an image, with this code.
    case imageConversion(Int)
}

extension ModelError: LocalizedError {
    public var errorDescription: String? {
        switch self {
        case .missingResource(let name):
            return "{{module}}: '\(name)' is not in the package; add the whole package to the app"
        case .wrongInput(let found, let wanted):
            return "{{module}}: found \(found); wanted \(wanted)"
        case .wrongOutput(let said):
            return "{{module}}: the model gave \(said)"
        case .notWhatWasBuilt(let name):
            return "{{module}}: '\(name)' is not the one that was built; take it from the artifact again"
        case .imageConversion(let code):
            return "{{module}}: an image could not be converted (code \(code))"
        }
    }
}
