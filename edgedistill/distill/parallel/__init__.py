"""Training with several processes: the same student as with one. README.md says how and how exactly."""
