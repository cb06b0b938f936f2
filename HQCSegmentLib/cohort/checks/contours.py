"""Structures that are empty, in pieces, with gaps, or not drawn at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from HQCSegmentLib.cohort.checks.facts import CaseFacts, SeenCase
from HQCSegmentLib.cohort.checks.finding import Finding, plural
from HQCSegmentLib.imaging import Reorientation

ISLAND_PART = 0.01
"""A separate piece is a tiny island if it has at most this part of the structure's voxels: nodes and paired organs
are larger."""

ISLAND_VOXELS = 20
"""And at most this many voxels, so that no real part of a large organ is called tiny."""


def read_with_notes(seen: SeenCase) -> list[Finding]:
    """What was odd about the contours, or was done to read them."""
    findings = []
    for note in dict.fromkeys(seen.labelled.notes):
        message = f"case {seen.name}: {note.removeprefix('case ').removeprefix(f'{seen.name}: ')}"
        findings.append(Finding(seen.name, "", "note", "read-with-care", message, "Look at the contours of this case."))
    return findings


def presence(seen: SeenCase) -> list[Finding]:
    """Structures that are unknown for this case, and those that were looked for and found empty."""
    findings = []
    for value, name in seen.structures.items():
        if value not in seen.labelled.known:
            message = f"case {seen.name}: {name} is not drawn; it is left out of the loss for this case."
            advice = "Nothing needs to be done, unless the contour was forgotten."
            findings.append(Finding(seen.name, name, "note", "unknown-structure", message, advice))
        elif value not in seen.boxes:
            message = f"case {seen.name}: {name} has no voxels and counts as drawn empty."
            advice = "If the patient has it, draw it, or say in cohort.json which structures this case has."
            findings.append(Finding(seen.name, name, "warning", "empty-structure", message, advice))
    return findings


def tiny_islands(seen: SeenCase) -> list[Finding]:
    """Small pieces apart from the rest of a structure, as a slip of the brush leaves them."""
    from scipy.ndimage import label

    findings = []
    for value in seen.boxes:
        if value not in seen.structures:
            continue
        pieces, number = label(seen.mask(value), structure=np.ones((3, 3, 3)))
        if number < 2:
            continue
        sizes = np.bincount(pieces.ravel())[1:]
        tiny = sizes[sizes <= min(ISLAND_VOXELS, ISLAND_PART * sizes.sum())]
        if len(tiny):
            name = seen.structures[value]
            voxels = plural(int(tiny.sum()), "voxel")
            message = f"case {seen.name}: {name} has {plural(len(tiny), 'tiny island')} apart from the rest ({voxels})."
            advice = "Erase what was drawn by mistake."
            findings.append(Finding(seen.name, name, "warning", "tiny-islands", message, advice))
    return findings


def gaps(seen: SeenCase) -> list[Finding]:
    """Slices without the structure between slices with it, as contours on every other slice leave them."""
    from scipy.ndimage import label

    axis = Reorientation.to_ras(seen.labelled.image.affine).permutation[2]
    across = tuple(other for other in range(3) if other != axis)
    findings = []
    for value in seen.boxes:
        if value not in seen.structures:
            continue
        mask = seen.mask(value)
        drawn = mask.any(axis=across)
        missing = int((~drawn).sum())
        if not missing:
            continue
        # Several separate parts (nodes, paired organs) have gaps by nature; flat pieces do not.
        pieces, number = label(drawn)
        if max(np.bincount(pieces)[1:]) > 1 and number <= 2:
            continue
        name = seen.structures[value]
        message = f"case {seen.name}: {name} is missing on {plural(missing, 'slice')} between slices that have it."
        advice = "Interpolate the contours, so that every slice has one."
        findings.append(Finding(seen.name, name, "warning", "gaps", message, advice))
    return findings


def never_drawn(cases: Sequence[CaseFacts], structures: Mapping[int, str]) -> list[Finding]:
    """Structures without a voxel in the whole cohort; nothing can be said where no case could be read."""
    if not cases:
        return []
    findings = []
    for value, name in structures.items():
        if not any(value in one.structures for one in cases):
            message = f"{name} is not drawn in any readable case."
            advice = "Draw it in some cases, or remove its name."
            findings.append(Finding("", name, "error", "never-drawn", message, advice))
    return findings


def rarely_drawn(cases: Sequence[CaseFacts], structures: Mapping[int, str]) -> list[Finding]:
    """Structures with voxels in one case only: nothing can be held out to judge them by."""
    findings = []
    for value, name in structures.items():
        having = [one.name for one in cases if value in one.structures]
        if len(cases) > 2 and len(having) == 1:
            message = f"{name} is drawn in case {having[0]} only, of {len(cases)}."
            advice = "It can hardly be learned or judged; draw it in more cases, or remove its name."
            findings.append(Finding("", name, "note", "rarely-drawn", message, advice))
    return findings
