"""Deployment targets: one folder each, all with the same skeleton; found through entry points."""
