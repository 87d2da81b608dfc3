"""How to reach a device: copy files to it, run commands there, fetch files. Knows no model."""
