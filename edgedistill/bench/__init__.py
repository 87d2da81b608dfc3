"""The measuring protocol and its statistics. Knows no vendor."""
