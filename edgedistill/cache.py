"""Where everything is kept that can be made again: data sets, teacher outputs, the emulated board."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "EDGEDISTILL_CACHE"


def cache_folder(chosen: str | None = None) -> Path:
    """Return the chosen folder, else `$EDGEDISTILL_CACHE`, else `~/.cache/edgedistill`; it may not exist yet."""
    return Path(chosen or os.environ.get(VARIABLE) or "~/.cache/edgedistill").expanduser()
