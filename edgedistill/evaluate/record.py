"""What every part of a written result is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A part of summary.json: frozen and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
