"""Intensities that no scanner gives, and images on another scale than the rest of the cohort."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from HQCSegmentLib.cohort.checks.facts import CaseFacts, SeenCase
from HQCSegmentLib.cohort.checks.finding import Finding

LOWEST_HU = -1100.0
"""Air is -1000 HU, and noise and rounding go little below; lower values pad the part outside the field of view."""

HIGHEST_HU = 4000.0
"""Above bone and contrast; only metal is brighter."""

BRIGHT_PART = 0.002
"""Part of an image above HIGHEST_HU that is more than an implant: the scale or the file is wrong."""

FEW_VALUES = 8
"""An image with fewer different values than this is more likely a label map."""


GLARING = 7.0
"""Brightest voxel over the 99.9th percentile, both above the median: dental fillings reach 8 to 16 times, anatomy up
to 6 (measured on head-and-neck CT and hippocampus MR)."""


def nothing_seen(seen: SeenCase) -> list[Finding]:
    """Images without content: not finite, or the same value everywhere."""
    image = seen.labelled.image.array
    if not np.isfinite(image).all():
        message = f"case {seen.name}: the image holds values that are not finite numbers."
        return [Finding(seen.name, "", "error", "not-finite", message, "Export it again.")]
    if image.min() == image.max():
        message = f"case {seen.name}: the image has the same value everywhere."
        return [Finding(seen.name, "", "error", "constant-image", message, "Export it again.")]
    return []


def few_values(seen: SeenCase) -> list[Finding]:
    """A label map in the place of the image."""
    image = seen.labelled.image.array
    different = np.unique(image.ravel()[:: max(1, image.size // 200_000)])
    if len(different) >= FEW_VALUES or len(different) < 2:
        return []
    message = f"case {seen.name}: the image has only {len(different)} different values."
    return [Finding(seen.name, "", "warning", "few-values", message, "Is it a label map? Exchange it for the image.")]


def glaring_voxels(seen: SeenCase) -> list[Finding]:
    """Single voxels far brighter than everything else."""
    image = seen.labelled.image.array
    middle, bright = np.percentile(image.ravel()[:: max(1, image.size // 2_000_000)], (50, 99.9))
    if bright <= middle or (seen.range[1] - middle) / (bright - middle) <= GLARING:
        return []
    message = f"case {seen.name}: single voxels reach {seen.range[1]:.5g}, where nearly all are below {bright:.5g}."
    advice = "This is usual for metal, and harmless: the highest values are clipped."
    return [Finding(seen.name, "", "note", "glaring-voxels", message, advice)]


def hounsfield_range(seen: SeenCase) -> list[Finding]:
    """CT beyond the Hounsfield scale."""
    if not seen.hounsfield:
        return []
    image = seen.labelled.image.array
    lowest, _ = seen.range
    findings = []
    bright = float(np.mean(image > HIGHEST_HU))
    if bright > BRIGHT_PART:
        message = f"case {seen.name}: {bright:.1%} of the image is above {HIGHEST_HU:.0f} HU, brighter than bone."
        advice = "Is the rescale slope right? If not, export the image again."
        findings.append(Finding(seen.name, "", "warning", "implausible-hounsfield", message, advice))
    if lowest < LOWEST_HU:
        message = f"case {seen.name}: the image goes down to {lowest:.0f} HU, below air."
        advice = "This is usual for padding outside the field of view, and harmless: low values are clipped."
        findings.append(Finding(seen.name, "", "note", "below-air", message, advice))
    return findings


def mixed_scales(cases: Sequence[CaseFacts]) -> list[Finding]:
    """Some images in Hounsfield units and some not: another modality, or an offset of 1024."""
    with_units = [one for one in cases if one.hounsfield]
    without = [one for one in cases if not one.hounsfield]
    if not with_units or not without:
        return []
    odd, has = (without, "no") if len(without) <= len(with_units) else (with_units, "such")
    findings = []
    for one in odd:
        message = f"case {one.name}: the image has {has} negative values as CT in HU has, unlike most of the cohort."
        advice = "Is it of another modality, or stored with an offset of 1024? Train on one kind of image."
        findings.append(Finding(one.name, "", "warning", "mixed-scales", message, advice))
    return findings
