"""What every part of a recipe is, and the types that several parts share."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Scalar = bool | int | float | str | None
LayerPath = Annotated[str, Field(min_length=1, max_length=1000)]


class Section(BaseModel):
    """A part of the recipe: frozen, and closed against unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=Section)
