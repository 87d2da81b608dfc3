"""The target `phone-coreml`: Core ML packages for iPhone and iPad, read back and interpreted on any machine."""
