"""Known structures: TG-263 names, types, colors and codes, by every spelling that is taken for certain."""

from __future__ import annotations

import functools
import json
import re
from importlib import resources

from pydantic import BaseModel, ConfigDict

from HQCSegmentLib.imaging.structure import Code, InterpretedType, Structure, Terminology

TARGET_TYPES: dict[str, InterpretedType] = {
    "GTV": "GTV", "IGTV": "GTV", "CTV": "CTV", "ICTV": "CTV", "PTV": "PTV", "ITV": "",
}  # fmt: skip
"""Type by the beginning of a name that the catalogue does not know (GTV1, CTV_High); DICOM has none for an ITV."""

PALETTE: tuple[tuple[int, int, int], ...] = (
    (230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200), (245, 130, 48),
    (145, 30, 180), (70, 240, 240), (240, 50, 230), (210, 245, 60), (250, 190, 212),
    (0, 128, 128), (220, 190, 255), (170, 110, 40), (255, 250, 200), (128, 0, 0),
    (170, 255, 195), (128, 128, 0), (255, 215, 180), (0, 0, 128), (128, 128, 128),
)  # fmt: skip
"""Colors of structures that the catalogue does not know, by value: Trubetskoy's 20 distinct colors."""


class CatalogueEntry(BaseModel):
    """One structure of the catalogue `structures.json`.

    Attributes:
        tg263_name: Primary name of TG-263's list (`HQCSegmentLib.naming.tg263`), or a target by its rules.
        interpreted_type: RT ROI Interpreted Type.
        color: RGB, 0 to 255.
        terminology: SNOMED codes; None where not sure.
        fma: Code of the Foundational Model of Anatomy; None where TG-263 gives none, or gives one that another list of
            FMA names has for something else (it exchanges left and right adrenals, for example).
        synonyms: Further spellings that are taken for certain.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tg263_name: str
    interpreted_type: InterpretedType
    color: tuple[int, int, int]
    terminology: Terminology | None
    fma: Code | None
    synonyms: tuple[str, ...]

    @property
    def laterality(self) -> str:
        """L or R as in the name; empty for structures of both sides or none."""
        return self.tg263_name[-1] if self.tg263_name.endswith(("_L", "_R")) else ""


def structure_for(name: str, value: int) -> Structure:
    """Make the structure for a name as a cohort uses it.

    Case, blanks, dots, hyphens and underscores do not matter: `kidney left`, `KIDNEY-L` and `Kidney_L` are
    the same. A side is never guessed: a name without one matches no one-sided structure.

    Args:
        name: Name of the structure in the cohort.
        value: Its value in the label map.

    Returns:
        The catalogue's TG-263 name, type, color and codes; for an unknown name the name itself, the type by
        its prefix (`TARGET_TYPES`, else ORGAN), a color by value, and neither TG-263 name nor codes.
    """
    name = name.strip()
    entry = catalogue().get(key_of(name))
    if entry is not None:
        return Structure(
            value=value,
            name=entry.tg263_name,
            interpreted_type=entry.interpreted_type,
            color=entry.color,
            tg263_name=entry.tg263_name,
            terminology=entry.terminology,
        )
    interpreted_type: InterpretedType = next(
        (kind for beginning, kind in TARGET_TYPES.items() if name.upper().startswith(beginning)), "ORGAN"
    )
    color = PALETTE[(value - 1) % len(PALETTE)]
    return Structure(value=value, name=name, interpreted_type=interpreted_type, color=color)


def fma_code(structure: Structure) -> Code | None:
    """Code of the Foundational Model of Anatomy for a structure with a TG-263 name; None where not sure."""
    entry = catalogue().get(key_of(structure.tg263_name or ""))
    return entry.fma if entry is not None else None


@functools.cache
def catalogue() -> dict[str, CatalogueEntry]:
    """Known structures by every spelling, without case and punctuation."""
    text = resources.files("HQCSegmentLib.naming").joinpath("structures.json").read_text(encoding="utf-8")
    entries = [CatalogueEntry.model_validate(entry) for entry in json.loads(text)["structures"]]
    return {key_of(spelling): entry for entry in entries for spelling in (entry.tg263_name, *entry.synonyms)}


def key_of(name: str) -> str:
    """Letters and digits of a name in lower case."""
    return re.sub(r"[\W_]", "", name.casefold())
