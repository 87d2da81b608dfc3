"""What every test may use."""

from __future__ import annotations

import os

from hypothesis import settings

# the same examples every time, and no example fails because the machine is busy
settings.register_profile("edgedistill", derandomize=True, deadline=None)
settings.load_profile("edgedistill")

# matplotlib writes its font cache where it can; never ask for a screen
os.environ.setdefault("MPLBACKEND", "agg")
