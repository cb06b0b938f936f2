"""Options of `hqcsegment evaluate` beside its folders, for the command and for programs that start it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EvaluateOptions(BaseModel):
    """How contours are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tolerance_mm: float = Field(
        default=2.0,
        ge=0,
        allow_inf_nan=False,
        title="Tolerance in mm",
        description="distance in mm up to which outlines count as equal, for surface Dice and added path length",
    )
