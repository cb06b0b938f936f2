"""One folder per patient, with a DICOM image series and one RTSTRUCT; files may have any names."""

from __future__ import annotations

from pathlib import Path

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.layouts.found import Found
from HQCSegmentLib.errors import InputError

DESCRIPTION = "one folder per patient with a DICOM image series and an RTSTRUCT"


def find(path: Path) -> Found | None:
    """Cases and structures, or None if the folder is laid out in another way."""
    from HQCSegmentLib.cohort.rtstruct import is_structure_set, list_rois

    cases = []
    for folder in sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith(".")):
        structure_sets = [file for file in sorted(folder.rglob("*")) if file.is_file() and is_structure_set(file)]
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
