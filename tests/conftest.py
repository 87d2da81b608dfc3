"""What every test may use."""

from __future__ import annotations

from hypothesis import settings

# the same examples every time, and no example fails because the machine is busy
settings.register_profile("edgedistill", derandomize=True, deadline=None)
settings.load_profile("edgedistill")
