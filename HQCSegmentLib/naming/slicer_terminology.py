"""The catalogue as a terminology of 3D Slicer, to be chosen in its segment editor (File > Add data).

The form is dcmqi's, https://github.com/QIICR/dcmqi/blob/master/doc/schemas/segment-context-schema.json.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from HQCSegmentLib.files import write_json
from HQCSegmentLib.imaging.structure import Code
from HQCSegmentLib.naming.catalogue import CatalogueEntry, catalogue

CONTEXT_NAME = "Radiotherapy structures (TG-263) - HQCSegment"
"""Under which Slicer lists it."""


def write_slicer_terminology(path: Path) -> None:
    """Write the structures that have codes, as JSON; those without are left out: no code is made up."""
    write_json(Path(path), slicer_terminology({one.tg263_name: one for one in catalogue().values()}.values()))


def slicer_terminology(entries: Iterable[CatalogueEntry]) -> dict[str, Any]:
    """Categories, types and sides with names and colors.

    Args:
        entries: Structures; of left and right, one type with two modifiers is made.
    """
    categories: dict[str, dict[str, Any]] = {}
    for entry in entries:
        terms = entry.terminology
        if terms is None:
            continue
        category = categories.setdefault(
            terms.category.value, {**_code(terms.category), "showAnatomy": "false", "Type": {}}
        )
        color = {"recommendedDisplayRGBValue": list(entry.color)}
        base = entry.tg263_name.removesuffix(f"_{entry.laterality}") if entry.laterality else entry.tg263_name
        kind = category["Type"].setdefault(terms.type.value, {**_code(terms.type), "3dSlicerLabel": base, **color})
        if terms.modifier is not None:
            modifier = {**_code(terms.modifier), "3dSlicerLabel": entry.tg263_name, **color}
            kind.setdefault("Modifier", []).append(modifier)
    return {
        "SegmentationCategoryTypeContextName": CONTEXT_NAME,
        "@schema": "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/schemas/segment-context-schema.json#",
        "SegmentationCodes": {"Category": [{**one, "Type": list(one["Type"].values())} for one in categories.values()]},
    }


def _code(code: Code) -> dict[str, str]:
    return {"CodeMeaning": code.meaning, "CodingSchemeDesignator": code.scheme, "CodeValue": code.value}
