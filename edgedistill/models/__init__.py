"""Compact student families, and loading the models of others."""
