"""Where the voxels are: headers that contradict themselves, and grids unlike those of the other cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from HQCSegmentLib.cohort.checks.facts import CaseFacts, SeenCase
from HQCSegmentLib.cohort.checks.finding import Finding, plural
from HQCSegmentLib.cohort.checks.robust import ENOUGH_CASES
from HQCSegmentLib.imaging import GRID_TOLERANCE_VOXELS, Grid
from HQCSegmentLib.imaging.geometry import FloatArray
from HQCSegmentLib.imaging.nifti import is_nifti

LARGEST_SPACING_MM = 10.0
"""Thicker slices than this are scouts or damaged headers, not volumes to contour on."""

SMALLEST_SPACING_MM = 0.05
"""No clinical scanner resolves less; smaller values come from a header in metres or centimetres."""

FEW_SLICES = 3
"""Fewer slices than this are hardly a volume."""

SPACING_FACTOR = 2.5
"""A spacing that differs from the cohort's median by more than this factor is said: resampling invents or loses
detail."""


def odd_grid(seen: SeenCase) -> list[Finding]:
    """Voxel sizes and numbers of slices that no scan has."""
    grid = seen.labelled.image.grid
    findings = []
    if max(grid.spacing) > LARGEST_SPACING_MM or min(grid.spacing) < SMALLEST_SPACING_MM:
        sizes = " x ".join(f"{value:.3g}" for value in grid.spacing)
        message = f"case {seen.name}: its voxels have {sizes} mm."
        advice = "Is the unit of the header millimetres? Export the image again if not."
        findings.append(Finding(seen.name, "", "warning", "implausible-spacing", message, advice))
    if min(grid.shape) < FEW_SLICES:
        message = f"case {seen.name}: the image has only {plural(min(grid.shape), 'slice')}."
        advice = "Train slice by slice (--dims 2), or leave the case out."
        findings.append(Finding(seen.name, "", "warning", "few-slices", message, advice))
    return findings


def nifti_orientation(seen: SeenCase) -> list[Finding]:
    """NIfTI headers that say nothing, or two different things, about where an image lies."""
    files = [seen.case.image, *(other.path for other in seen.case.others)]
    findings = []
    for number, path in enumerate(files):
        if path.is_file() and is_nifti(path):
            subject = seen.channels[number].subject if len(files) > 1 else "its image"
            findings += _nifti_orientation(path, seen.name, subject)
    return findings


def _nifti_orientation(path: Path, case: str, subject: str) -> list[Finding]:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    header = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    by_quaternion, by_matrix = _code(header.get("qform_code", "")), _code(header.get("sform_code", ""))
    if not by_quaternion and not by_matrix:
        message = f"case {case}: the header of {subject} says nothing about left, right, front and back."
        advice = "Compare it with the scan, since sides may be swapped, and export it again with an orientation."
        return [Finding(case, "", "warning", "no-orientation", message, advice)]
    if not by_quaternion or not by_matrix:
        return []
    i, j, k = reader.GetSize()[:3]
    shape = (i, j, k)
    matrix, quaternion = _matrix(header), _quaternion(header)
    if matrix is None or quaternion is None or abs(np.linalg.det(matrix)) < 1e-12:
        return []
    difference = Grid(shape, quaternion).difference(Grid(shape, matrix))
    if difference <= GRID_TOLERANCE_VOXELS:
        return []
    message = (
        f"case {case}: the header of {subject} holds two orientations (qform and sform) that lie up to "
        f"{difference:.1f} voxels apart."
    )
    advice = "Other programs may see it elsewhere: export the image again with one orientation."
    return [Finding(case, "", "warning", "two-orientations", message, advice)]


def _code(text: str) -> int:
    """Number at the beginning of a metadata value, such as 1 of "1" or "NIFTI_XFORM_SCANNER_ANAT" as ITK says it."""
    text = text.strip()
    return int(text) if text.isdigit() else int(bool(text) and "UNKNOWN" not in text)


def _matrix(header: dict[str, str]) -> FloatArray | None:
    """RAS affine of the sform."""
    try:
        rows = [[float(value) for value in header[f"srow_{axis}"].split()] for axis in "xyz"]
    except (KeyError, ValueError):
        return None
    affine = np.eye(4)
    affine[:3] = rows
    return affine


def _quaternion(header: dict[str, str]) -> FloatArray | None:
    """RAS affine of the qform (nifti1.h, method 2)."""
    try:
        b, c, d = (float(header[f"quatern_{letter}"]) for letter in "bcd")
        offset = [float(header[f"qoffset_{axis}"]) for axis in "xyz"]
        factor, *spacing = (float(header[f"pixdim[{number}]"]) for number in range(4))
    except (KeyError, ValueError):
        return None
    a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation * spacing
    affine[:3, 2] *= -1 if factor < 0 else 1
    affine[:3, 3] = offset
    return affine


def odd_spacings(cases: Sequence[CaseFacts]) -> list[Finding]:
    """Voxel sizes far from those of the rest of the cohort."""
    if len(cases) < ENOUGH_CASES:
        return []
    spacings = np.array([one.spacing for one in cases])
    medians = np.median(spacings, axis=0)
    findings = []
    for one, spacing in zip(cases, spacings, strict=True):
        factors = spacing / medians
        axis = int(np.abs(np.log(factors)).argmax())
        if max(factors[axis], 1 / factors[axis]) > SPACING_FACTOR:
            message = (
                f"case {one.name}: its voxels have {spacing[axis]:.3g} mm along {'RAS'[axis]}, unlike the "
                f"{medians[axis]:.3g} mm that are usual in this cohort."
            )
            advice = "It is resampled; leave it out if it is of another protocol."
            findings.append(Finding(one.name, "", "warning", "spacing-outlier", message, advice))
    return findings
