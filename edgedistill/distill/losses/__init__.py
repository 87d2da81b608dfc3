"""Losses: pure functions, one file per family."""
