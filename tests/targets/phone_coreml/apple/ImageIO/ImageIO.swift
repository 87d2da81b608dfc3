// Ours, not Apple's: declarations of ImageIO that the sources use. See README.md.

public enum CGImagePropertyOrientation: UInt32, Sendable {
    case up = 1
    case upMirrored, down, downMirrored, leftMirrored, right, rightMirrored, left
}
