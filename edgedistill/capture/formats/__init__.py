"""Files that completions are exported to and imported from."""
