"""An emulated ARM64 board that boots: its own root, its own SSH server or adb daemon, its own network."""
