"""Coded terms of a structure as 3D Slicer stores them on a segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from HQCSegmentSlicer.resources import RESOURCES

if TYPE_CHECKING:
    from slicer import vtkSegment

    from HQCSegmentLib.imaging import Code, Terminology

TERMINOLOGY_CONTEXT = "Segmentation category and type - DICOM master list"
"""Name of Slicer's terminology for the codes; Slicer also keeps codes that it does not find there."""

REGION_CONTEXT = "Anatomic codes - DICOM master list"
"""Slicer's list of anatomic regions; the region itself stays empty, as the type already names the anatomy."""

SHIPPED = RESOURCES / "RadiotherapyStructures.term.json"
"""Structures of the catalogue that have codes, as a list to choose from in the segment editor."""

UNSPECIFIC = "85756007"
"""SNOMED code of "Tissue", which Slicer gives every new segment."""


def register_terminology() -> None:
    """Offer the structures of the catalogue in Slicer's segment editor; called when Slicer has started."""
    import slicer

    slicer.modules.terminologies.logic().LoadTerminologyFromFile(str(SHIPPED))


def serialized_terminology(terminology: Terminology) -> str:
    """Slicer's text form, context~category~type~modifier~region context~region~region modifier.

    Each of the five codes is written as scheme^value^meaning.
    """
    parts = [
        TERMINOLOGY_CONTEXT,
        _serialized_code(terminology.category),
        _serialized_code(terminology.type),
        _serialized_code(terminology.modifier),
        REGION_CONTEXT,
        _serialized_code(None),
        _serialized_code(None),
    ]
    return "~".join(parts)


def set_terminology(segment: vtkSegment, terminology: Terminology) -> None:
    """Put coded terms on a segment; they are written to DICOM SEG and shown in the segments table."""
    text = serialized_terminology(terminology)
    if hasattr(segment, "SetTerminology"):
        segment.SetTerminology(text)
    else:  # before Slicer 5.10
        segment.SetTag(segment.GetTerminologyEntryTagName(), text)


def _serialized_code(code: Code | None) -> str:
    if code is None:
        return "^^"
    return "^".join(_without_separators(text) for text in (code.scheme, code.value, code.meaning))


def _without_separators(text: str) -> str:
    """`text` without the characters that separate fields; Slicer has no way to escape them."""
    return text.translate({ord("~"): " ", ord("^"): " ", ord("|"): " "}).strip()


def terminology_of_segment(segment: vtkSegment) -> Terminology | None:
    """Coded terms of a segment; None where it has none or only Slicer's general "Tissue" of new segments."""
    from HQCSegmentLib.imaging import Code, Terminology

    def code(text: str) -> Code | None:
        scheme, value, meaning = [*text.split("^"), "", "", ""][:3]
        return Code(scheme=scheme, value=value, meaning=meaning) if scheme and value else None

    parts = [*_text_of(segment).split("~"), "", "", "", ""]
    category, kind, modifier = (code(text) for text in parts[1:4])
    if category is None or kind is None or kind.value == UNSPECIFIC:
        return None
    return Terminology(category=category, type=kind, modifier=modifier)


def _text_of(segment: vtkSegment) -> str:
    if hasattr(segment, "GetTerminology") and hasattr(segment, "SetTerminology"):
        entry = segment.GetTerminology()
        return entry if isinstance(entry, str) else ""
    import vtk

    text = vtk.mutable("")
    return str(text) if segment.GetTag(segment.GetTerminologyEntryTagName(), text) else ""
