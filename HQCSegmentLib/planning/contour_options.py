"""How contours are written."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ContourOptions(BaseModel):
    """Settings of the contours of a structure set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    holes: Literal["keyhole", "xor"] = Field(
        default="keyhole",
        description="holes as a cut to the outline, which all known planning systems read, or as contours of their own "
        "that are combined by exclusive or (DICOM PS3.3 C.8.8.6.3)",
    )
    simplify_mm: float = Field(
        default=0.0, ge=0, le=5, description="leave out points as long as outlines move by less than this, in mm"
    )
    lowest_dice: float = Field(
        default=0.99,
        ge=0.9,
        le=1,
        description="of a slice before and after; where it would be less, more points stay",
    )
