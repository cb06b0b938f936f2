"""The kidney tumor challenges KiTS19, KiTS21 and KiTS23: case_00000/imaging.nii.gz and segmentation.nii.gz."""

from __future__ import annotations

import re
from pathlib import Path

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.layouts.found import Found, images_in
from HQCSegmentLib.imaging.image_files import image_stem

DESCRIPTION = "KiTS (case_00000/imaging.nii.gz and segmentation.nii.gz)"

IMAGE, LABEL = "imaging", "segmentation"

NAMES = {1: "kidney", 2: "tumor", 3: "cyst"}
"""Values of the label maps; KiTS19 has no cysts."""

CYST = 3

LOOKED_AT = 20
"""Label maps that are searched for cysts: two of five cases of KiTS21 and KiTS23 have some."""


def find(path: Path) -> Found | None:
    """Cases and structures, or None if the folder is laid out in another way.

    Cases without a label map, as those that the challenge tests with, are left out. A cyst in a data set without any
    in its first 20 label maps is refused when its case is read.
    """
    folders = sorted(child for child in path.iterdir() if child.is_dir() and re.fullmatch(r"case_\d+", child.name))
    files = {folder: {image_stem(file): file for file in images_in(folder)} for folder in folders}
    images = {folder: there for folder, there in files.items() if IMAGE in there}
    if not images:
        return None
    cases = [
        Case(folder.name, there[IMAGE], there[LABEL], patient=folder.name)
        for folder, there in images.items()
        if LABEL in there
    ]
    notes = []
    without = len(images) - len(cases)
    if without:
        notes.append(f"{without} of {len(images)} cases have no {LABEL} and are left out.")
    has_cysts = any(CYST in case.label_values() for case in cases[:LOOKED_AT])
    structures = {value: name for value, name in NAMES.items() if has_cysts or value != CYST}
    return Found("KiTS", cases, structures, tuple(notes))
