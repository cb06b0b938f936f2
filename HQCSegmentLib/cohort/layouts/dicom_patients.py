"""One folder per patient, with a DICOM image series and one RTSTRUCT."""

from __future__ import annotations

from pathlib import Path

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.layouts.found import Found
from HQCSegmentLib.errors import InputError

DESCRIPTION = "one folder per patient with a DICOM image series and an RTSTRUCT"

RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
"""SOP Class UID of RT Structure Set Storage (DICOM PS3.4 B.5)."""


def find(path: Path) -> Found | None:
    """Cases and structures, or None if the folder is laid out in another way."""
    from HQCSegmentLib.cohort.rtstruct import list_rois

    cases = []
    for folder in sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith(".")):
        structure_sets = [file for file in sorted(folder.rglob("*.dcm")) if _is_structure_set(file)]
        if len(structure_sets) > 1:
            msg = f"case {folder.name}: {folder} holds {len(structure_sets)} structure sets; keep one of them."
            raise InputError(msg)
        if structure_sets:
            cases.append(Case(name=folder.name, image=folder, label=structure_sets[0], patient=folder.name))
    if not cases:
        return None
    names = sorted({name for case in cases for name in list_rois(case.label)}, key=_order)
    return Found("DICOM patients", cases, dict(enumerate(names, start=1)))


def _order(name: str) -> tuple[bool, str]:
    """Targets last: where structures overlap the larger value wins, and a tumor lies in its organ."""
    return name.upper().startswith(("GTV", "CTV", "PTV")), name


def _is_structure_set(path: Path) -> bool:
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"])
    except (pydicom.errors.InvalidDicomError, OSError):
        return False
    return str(header.get("SOPClassUID", "")) == RTSTRUCT_CLASS
