"""Whether an image and what was found in it are like the cases that the model was trained on; one sentence a doubt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.bundle import Manifest
from HQCSegmentLib.cohort.fingerprint import Intensities
from HQCSegmentLib.cohort.hounsfield import AIR_HU
from HQCSegmentLib.cohort.norms import Measured, Range, StructureNorm, measure_structures, relative
from HQCSegmentLib.imaging import Image, Reorientation, Structure

SPACING_FACTOR = 2.0
"""An image whose voxels are this many times coarser or finer than the training images' is doubted."""

EXTENT_PART = 0.6
"""An image shorter along an axis than this part of the training images may show half of the patient."""

VOLUME_FACTOR = 2.0
"""A structure below the smallest or above the largest of training by this factor is doubted: with few training cases
their range says little."""

LEAST_INTENSITY_MARGIN = 25.0
"""A structure's median may lie this far outside the training cases' (HU)."""

LEAST_POSITION_MARGIN = 0.5
"""Positions may lie outside those of training by this part of the spread of the structures, or by their range."""

LOW_CONFIDENCE = 0.8
"""Expected Dice below which a contour is called uncertain; see Docs/inference.md for what it means on real cohorts."""

LOW_AGREEMENT = 0.8
"""Dice between the predictions of an ensemble or of mirrored images below which a contour is called uncertain."""

AXES = ("left to right", "back to front", "foot to head")


def image_doubts(image: Image, manifest: Manifest) -> Iterator[str]:
    """What is unlike the training images, before anything is segmented."""
    measured = manifest.fingerprint
    lowest = float(image.array.min())
    first = measured.channels[0]
    if first.hounsfield and lowest > AIR_HU - first.offset:
        yield (
            f"The image's lowest value is {lowest:.0f}, but a CT like those of training holds air near "
            f"{-1000 - first.offset:.0f}; check its rescale intercept, since the model knows this scale only."
        )
    if lowest < AIR_HU and (not first.hounsfield or first.offset):
        yield (
            f"The image's lowest value is {lowest:.0f}, as of a CT in Hounsfield units, but the model was trained on "
            "other images."
        )
    grid = image.grid.reoriented(Reorientation.to_ras(image.affine))
    for name, own, usual in zip(AXES, grid.spacing, measured.median_spacing, strict=True):
        if not usual / SPACING_FACTOR <= own <= usual * SPACING_FACTOR:
            yield f"The voxels are {own:.2g} mm from {name}; the training images had {usual:.2g} mm."
    extents = (size * step for size, step in zip(grid.shape, grid.spacing, strict=True))
    for name, extent, usual in zip(AXES, extents, measured.median_extent, strict=True):
        if extent < EXTENT_PART * usual:
            yield (
                f"The image covers {extent:.0f} mm from {name}, the training images about {usual:.0f} mm: a part of "
                "the patient may be missing."
            )


def result_doubts(
    image: Image, label: npt.NDArray[np.unsignedinteger], structures: Sequence[Structure], manifest: Manifest
) -> Iterator[str]:
    """What of the structures found is unlike those of the training cases.

    Args:
        image: What was segmented.
        label: Label map with the values of the structures.
        structures: Of the model.
        manifest: Of the model; bundles of earlier versions have no norms, and nothing is compared.
    """
    norms = manifest.fingerprint.structures
    if not norms:
        return
    values = {one.value: one.name for one in structures if one.name in norms}
    found = measure_structures(image.array, label, image.grid, values)
    # Positions are told from the middle of all structures, so all must be there.
    places = relative(found, among=norms) if norms.keys() <= found.keys() else {}
    spread = _spread(norms)
    for name, norm in norms.items():
        if name not in found:
            if norm.cases == norm.drawn:
                yield f"{name} was not found, but every training case shows it."
            continue
        yield from _structure_doubts(name, found[name], norm, manifest.fingerprint.channels[0])
        if name in places:
            yield from _position_doubts(name, places[name], norm, spread)


def uncertainty_doubts(confidence: Mapping[str, float], agreement: Mapping[str, float]) -> Iterator[str]:
    """Structures that the network itself is not sure of, by name; those that were not found are left out."""
    for name, value in confidence.items():
        if 0 < value < LOW_CONFIDENCE:
            yield f"{name} is uncertain: by the network's own probabilities a Dice of about {value:.2f} is expected."
    for name, value in agreement.items():
        if confidence.get(name, 1.0) > 0 and value < LOW_AGREEMENT:
            yield f"{name} is uncertain: several predictions of it agree by a Dice of {value:.2f} only."


def _structure_doubts(name: str, found: Measured, norm: StructureNorm, seen: Intensities) -> Iterator[str]:
    low, high = norm.volume_ml
    if not low / VOLUME_FACTOR <= found.volume_ml <= high * VOLUME_FACTOR:
        yield f"{name} has {_number(found.volume_ml)} ml; in the training cases it has {_range(norm.volume_ml)} ml."
    if seen.hounsfield:
        low, high = norm.intensity
        margin = max(LEAST_INTENSITY_MARGIN, high - low)
        if not low - margin <= found.intensity <= high + margin:
            yield (
                f"{name} has a median of {found.intensity + seen.offset:.0f} HU; in the training cases it has "
                f"{_range((low + seen.offset, high + seen.offset))} HU."
            )
    if found.cut and not norm.cut:
        yield f"{name} reaches the first or last slice: the image may end inside it, as no training image does."


def _position_doubts(name: str, place: npt.NDArray, norm: StructureNorm, spread: float) -> Iterator[str]:
    for axis, value, (low, high) in zip(AXES, place, norm.position_mm, strict=True):
        margin = max(high - low, LEAST_POSITION_MARGIN * spread)
        if not low - margin <= value <= high + margin:
            yield (
                f"{name} lies {abs(value - np.clip(value, low, high)):.0f} mm off (from {axis}) from where the "
                "training cases show it beside the other structures; is the image flipped?"
            )
            return


def _spread(norms: Mapping[str, StructureNorm]) -> float:
    """Root mean square distance of the structures from their middle, in mm."""
    middles = [[(low + high) / 2 for low, high in norm.position_mm] for norm in norms.values()]
    return float(np.sqrt(np.mean(np.sum(np.square(middles), axis=1)))) if middles else 0.0


def _range(values: Range) -> str:
    low, high = (_number(value) for value in values)
    return low if low == high else f"{low} to {high}"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"
