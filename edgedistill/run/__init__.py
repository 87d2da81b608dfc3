"""A run directory and its stages: keys, atomic writes, resume, summary."""
