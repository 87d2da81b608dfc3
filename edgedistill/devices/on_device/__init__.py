"""What runs on a device besides an artifact's own runner: Python 3.8 or newer, standard library only."""
