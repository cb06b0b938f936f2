"""What is done to a structure after the network: settings that a bundle stores."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PostProcessing(BaseModel):
    """Steps for one structure, done in the order of the fields; by default none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inside: str | None = Field(
        default=None, description="organ that every piece of this structure must touch; other pieces are removed"
    )
    minimum_ml: float = Field(default=0.0, ge=0, description="smaller connected pieces are removed, in ml")
    largest_component: bool = Field(default=False, description="only the largest connected piece is kept")
    fill_holes: bool = Field(default=False, description="cavities that are closed on all sides are filled")
    smoothing_mm: float = Field(
        default=0.0, ge=0, le=10, description="deviation of the Gaussian that outlines are smoothed with, in mm"
    )

    @property
    def does_nothing(self) -> bool:
        """Whether no step is set."""
        return self == PostProcessing()
