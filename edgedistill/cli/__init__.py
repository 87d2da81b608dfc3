"""The command line: argument parsing and printing, one file per verb."""

from edgedistill.cli.app import main

__all__ = ["main"]
