"""Task metrics, executors, and parity between two executors of the same model."""
