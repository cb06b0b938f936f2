"""A structure: what one value of a label map stands for."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

InterpretedType = Literal["ORGAN", "GTV", "CTV", "PTV", "EXTERNAL", "AVOIDANCE", ""]
"""RT ROI Interpreted Type (3006,00A4), DICOM PS3.3 C.8.8.8.1; empty where unknown."""


class Code(BaseModel):
    """A coded concept: DICOM Code Value, Coding Scheme Designator, Code Meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scheme: str = Field(description="coding scheme designator, for example SCT")
    value: str = Field(description="code value")
    meaning: str = Field(description="code meaning in English")


class Terminology(BaseModel):
    """Codes of a segment in the sense of DICOM SEG and of Slicer's terminology: category, type, modifier."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: Code
    type: Code
    modifier: Code | None = None


class Structure(BaseModel):
    """One structure of a label map, as a bundle stores it and as outputs are named and colored by it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: int = Field(ge=1, le=65535, description="value in the label map; 0 is background")
    name: str = Field(min_length=1, description="name as in the training cohort, TG-263 where it could be matched")
    interpreted_type: InterpretedType = Field(default="ORGAN", description="RT ROI Interpreted Type")
    color: tuple[int, int, int] = Field(default=(255, 255, 0), description="display color, RGB 0 to 255")
    tg263_name: str | None = Field(default=None, description="TG-263 primary name; null where not sure")
    terminology: Terminology | None = Field(default=None, description="coded terms; null where not sure")
