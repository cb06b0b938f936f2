"""Intensities that no scanner gives, and images on another scale than the rest of the cohort."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from HQCSegmentLib.cohort.checks.facts import CaseFacts, SeenCase
from HQCSegmentLib.cohort.checks.finding import Finding
from HQCSegmentLib.cohort.hounsfield import STORED_OFFSET

LOWEST_HU = -1100.0
"""Air is -1000 HU, and noise and rounding go little below; lower values pad the part outside the field of view."""

HIGHEST_HU = 4000.0
"""Above bone and contrast; only metal is brighter."""

BRIGHT_PART = 0.002
"""Part of an image above HIGHEST_HU that is more than an implant: the scale or the file is wrong."""

SCALES = {0.0: "Hounsfield units", STORED_OFFSET: "Hounsfield units + 1024", None: "no Hounsfield units"}
"""What images have, by what has to be added to have Hounsfield units; the most certain first."""

FEW_VALUES = 8
"""An image with fewer different values than this is more likely a label map."""

GLARING = 7.0
"""Brightest voxel over the 99.9th percentile, both above the median: dental fillings reach 8 to 16 times, anatomy up
to 6 (measured on head-and-neck CT and hippocampus MR)."""


def nothing_seen(seen: SeenCase) -> list[Finding]:
    """Images without content: not finite, or the same value everywhere."""
    findings = []
    for channel in seen.channels:
        if not np.isfinite(channel.range).all():
            message = f"case {seen.name}: {channel.subject} holds values that are not finite numbers."
            findings.append(Finding(seen.name, "", "error", "not-finite", message, "Export it again."))
        elif channel.range[0] == channel.range[1]:
            message = f"case {seen.name}: {channel.subject} has the same value everywhere."
            findings.append(Finding(seen.name, "", "error", "constant-image", message, "Export it again."))
    return findings


def few_values(seen: SeenCase) -> list[Finding]:
    """A label map in the place of an image."""
    findings = []
    for channel in seen.channels:
        different = np.unique(channel.array.ravel()[:: max(1, channel.array.size // 200_000)])
        if 2 <= len(different) < FEW_VALUES:
            message = f"case {seen.name}: {channel.subject} has only {len(different)} different values."
            advice = "Is it a label map? Exchange it for the image."
            findings.append(Finding(seen.name, "", "warning", "few-values", message, advice))
    return findings


def glaring_voxels(seen: SeenCase) -> list[Finding]:
    """Single voxels far brighter than everything else."""
    findings = []
    for channel in seen.channels:
        some = channel.array.ravel()[:: max(1, channel.array.size // 2_000_000)]
        middle, bright = np.percentile(some, (50, 99.9))
        highest = channel.range[1]
        if bright > middle and (highest - middle) / (bright - middle) > GLARING:
            of = f" of {channel.subject}" if channel.name else ""
            message = (
                f"case {seen.name}: single voxels{of} reach {highest:.5g}, where nearly all are below {bright:.5g}."
            )
            advice = "This is usual for metal, and harmless: the highest values are clipped."
            findings.append(Finding(seen.name, "", "note", "glaring-voxels", message, advice))
    return findings


def hounsfield_range(seen: SeenCase) -> list[Finding]:
    """CT beyond the Hounsfield scale."""
    findings = []
    for channel in seen.channels:
        if channel.offset is None:
            continue
        bright = float(np.mean(channel.array > HIGHEST_HU - channel.offset))
        if bright > BRIGHT_PART:
            message = (
                f"case {seen.name}: {bright:.1%} of {channel.subject} is above {HIGHEST_HU:.0f} HU, brighter than bone."
            )
            advice = "Is the rescale slope right? If not, export the image again."
            findings.append(Finding(seen.name, "", "warning", "implausible-hounsfield", message, advice))
        lowest = channel.range[0] + channel.offset
        if lowest < LOWEST_HU:
            message = f"case {seen.name}: {channel.subject} goes down to {lowest:.0f} HU, below air."
            advice = "This is usual for padding outside the field of view, and harmless: low values are clipped."
            findings.append(Finding(seen.name, "", "note", "below-air", message, advice))
    return findings


def same_image_twice(seen: SeenCase) -> list[Finding]:
    """One image in the place of two channels."""
    findings = []
    for number, channel in enumerate(seen.channels):
        for earlier in seen.channels[:number]:
            if np.array_equal(channel.array, earlier.array):
                message = f"case {seen.name}: {channel.subject} has the same voxels as {earlier.subject}."
                advice = "Was one file given twice? Exchange it for the right one."
                findings.append(Finding(seen.name, "", "warning", "same-channels", message, advice))
    return findings


def mixed_scales(cases: Sequence[CaseFacts]) -> list[Finding]:
    """Some images in Hounsfield units and some not, or with another offset to them."""
    findings = []
    for number in range(len(cases[0].channels) if cases else 0):
        offsets = [one.channels[number].offset for one in cases]
        usual = max(SCALES, key=offsets.count)
        for one, offset in zip(cases, offsets, strict=True):
            if offset != usual:
                message = (
                    f"case {one.name}: {one.channels[number].subject} seems to have {SCALES[offset]}, and most of the "
                    f"cohort {SCALES[usual]}."
                )
                advice = "Is it of another modality, or exported by another system? Train on one kind of image."
                findings.append(Finding(one.name, "", "warning", "mixed-scales", message, advice))
    return findings
