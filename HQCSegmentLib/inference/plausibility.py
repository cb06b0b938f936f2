"""Whether an image and what was found in it are like the cases that the model was trained on; one sentence a doubt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.bundle import Certainty, Manifest
from HQCSegmentLib.cohort.appearance import profile, standardised, strangeness
from HQCSegmentLib.cohort.fingerprint import Intensities
from HQCSegmentLib.cohort.hounsfield import AIR_HU
from HQCSegmentLib.cohort.norms import Measured, Range, StructureNorm, measure_structures, relative
from HQCSegmentLib.evaluation.verdict import WEAK_MEAN_DICE
from HQCSegmentLib.imaging import Image, Reorientation, Structure

SPACING_FACTOR = 2.0
"""An image whose voxels are this many times coarser or finer than the training images' is doubted."""

EXTENT_PART = 0.6
"""An image shorter along an axis than this part of the training images may show half of the patient."""

VOLUME_FACTOR = 2.0
"""A structure below the smallest or above the largest of training by this factor is doubted: with few training cases
their range says little."""

EXTENT_FACTOR = 1.5
"""The same for its length along an axis."""

LEAST_INTENSITY_MARGIN, LEAST_MARGIN = 25.0, 0.25
"""A structure's median, and its contrast to the surroundings, may lie this far outside the training cases' (HU; in
images without absolute scale deviations of the image), or by their range."""

FEWEST_CASES = 3
"""Training cases whose range of contrasts tells something."""

STRANGE = 2.0
"""An image is doubted that is this many times as far from the nearest training image as these are from each other."""

LEAST_POSITION_MARGIN = 0.5
"""Positions may lie outside those of training by this part of the spread of the structures, or by their range."""

LOW_CONFIDENCE = 0.8
"""Expected Dice below which a contour is called uncertain where no held-out cases tell what is usual."""

UNUSUAL_PART = 0.9
"""The same, where it is known: part of the Dice on held-out cases."""

LOW_AGREEMENT = 0.8
"""Dice between the predictions of an ensemble or of mirrored images below which a contour is called uncertain."""


@dataclass(frozen=True)
class Doubt:
    """Something that is unlike training.

    Attributes:
        sentence: What, and compared with what.
        structure: Name of the structure that it is about; None: all.
        excess: How far, in what is tolerated; at least 1.
    """

    sentence: str
    structure: str | None = None
    excess: float = 1.0


AXES = ("left to right", "back to front", "foot to head")


def image_doubts(image: Image, manifest: Manifest) -> Iterator[Doubt]:
    """What is unlike the training images, before anything is segmented."""
    measured = manifest.fingerprint
    lowest = float(image.array.min())
    first = measured.channels[0]
    if first.hounsfield and lowest > AIR_HU - first.offset:
        yield Doubt(
            f"The image's lowest value is {lowest:.0f}, but a CT like those of training holds air near "
            f"{-1000 - first.offset:.0f}; check its rescale intercept, since the model knows this scale only."
        )
    if lowest < AIR_HU and (not first.hounsfield or first.offset):
        yield Doubt(
            f"The image's lowest value is {lowest:.0f}, as of a CT in Hounsfield units, but the model was trained on "
            "other images."
        )
    yield from _appearance_doubts(image, measured.channels)
    grid = image.grid.reoriented(Reorientation.to_ras(image.affine))
    for name, own, usual in zip(AXES, grid.spacing, measured.median_spacing, strict=True):
        if not usual / SPACING_FACTOR <= own <= usual * SPACING_FACTOR:
            yield Doubt(f"The voxels are {own:.2g} mm from {name}; the training images had {usual:.2g} mm.")
    extents = (size * step for size, step in zip(grid.shape, grid.spacing, strict=True))
    for name, extent, usual in zip(AXES, extents, measured.median_extent, strict=True):
        if extent < EXTENT_PART * usual:
            yield Doubt(
                f"The image covers {extent:.0f} mm from {name}, the training images about {usual:.0f} mm: a part of "
                "the patient may be missing."
            )


def result_doubts(
    image: Image, label: npt.NDArray[np.unsignedinteger], structures: Sequence[Structure], manifest: Manifest
) -> Iterator[Doubt]:
    """What of the structures found is unlike those of the training cases.

    Args:
        image: What was segmented.
        label: Label map (i, j, k) with the values of the structures.
        structures: Of the model.
        manifest: Of the model; bundles of earlier versions have no norms, and nothing is compared.
    """
    norms = manifest.fingerprint.structures
    if not norms:
        return
    first = manifest.fingerprint.channels[0]
    values = {one.value: one.name for one in structures if one.name in norms}
    found = measure_structures(
        image.array if first.hounsfield else standardised(image.array), label, image.grid, values
    )
    # Positions are told from the middle of all structures, so all must be there.
    places = relative(found, among=norms) if norms.keys() <= found.keys() else {}
    spread = _spread(norms)
    for name, norm in norms.items():
        if name not in found:
            if norm.cases == norm.drawn:
                yield Doubt(f"{name} was not found, but every training case shows it.", name)
            continue
        yield from _size_doubts(name, found[name], norm)
        yield from _intensity_doubts(name, found[name], norm, first)
        if name in places:
            yield from _position_doubts(name, places[name], norm, spread)


def calibrated(expected: Mapping[str, float], certainty: Mapping[str, Certainty]) -> dict[str, float]:
    """The Dice that a network lets expect, times how much better or worse it was than that on held-out cases."""
    factors = {name: one.dice / one.expected for name, one in certainty.items()}
    return {name: min(1.0, value * factors.get(name, 1.0)) for name, value in expected.items()}


def uncertainty_doubts(
    confidence: Mapping[str, float], agreement: Mapping[str, float], certainty: Mapping[str, Certainty]
) -> Iterator[Doubt]:
    """Structures that the network itself is not sure of, by name; those that were not found are left out."""
    for name, value in confidence.items():
        usual = certainty[name].dice if name in certainty else None
        if 0 < value < (LOW_CONFIDENCE if usual is None else UNUSUAL_PART * usual):
            yield Doubt(
                f"{name} is uncertain: by the network's own probabilities a Dice of about {value:.2f} is expected"
                + ("." if usual is None else f"; on held-out cases it was {usual:.2f}."),
                name,
            )
        if usual is not None and usual < WEAK_MEAN_DICE:
            yield Doubt(f"{name} is weak in this model: on held-out cases its mean Dice was {usual:.2f}.", name)
    for name, value in agreement.items():
        if confidence.get(name, 1.0) > 0 and value < LOW_AGREEMENT:
            yield Doubt(f"{name} is uncertain: several predictions of it agree by a Dice of {value:.2f} only.", name)


def lowered(confidence: Mapping[str, float], doubts: Iterable[Doubt]) -> dict[str, float]:
    """Confidence divided by how far the image, or the structure, is from what the training cases tolerate."""
    excess = dict.fromkeys(confidence, 1.0)
    for doubt in doubts:
        for name in excess if doubt.structure is None else [doubt.structure]:
            excess[name] = max(excess.get(name, 1.0), doubt.excess)
    return {name: value / excess[name] for name, value in confidence.items()}


def _appearance_doubts(image: Image, channels: Sequence[Intensities]) -> Iterator[Doubt]:
    for array, seen in zip(image.channels, channels, strict=True):
        own = profile(array, offset=seen.offset if seen.hounsfield else None)
        value = strangeness(own, seen.profiles, hounsfield=seen.hounsfield)
        if value is not None and value > STRANGE:
            which = "The image's" if len(channels) == 1 else f"The {seen.name} image's"
            yield Doubt(
                f"{which} intensities are distributed otherwise than in every training image ({value:.1f} times as far "
                "from the nearest as these are from each other): is it from another scanner, protocol or contrast?",
                excess=value / STRANGE,
            )


def _size_doubts(name: str, found: Measured, norm: StructureNorm) -> Iterator[Doubt]:
    excess = _ratio(found.volume_ml, norm.volume_ml) / VOLUME_FACTOR
    if excess > 1:
        yield Doubt(
            f"{name} has {_number(found.volume_ml)} ml; in the training cases it has {_range(norm.volume_ml)} ml.",
            name,
            excess,
        )
    for axis, own, usual in zip(AXES, found.extent_mm, norm.extent_mm or (), strict=False):
        excess = _ratio(own, usual) / EXTENT_FACTOR
        if excess > 1:
            yield Doubt(
                f"{name} is {_number(own)} mm long from {axis}; in the training cases it is {_range(usual)} mm: look "
                "for pieces far off or missing.",
                name,
                excess,
            )
            break
    if found.cut and not norm.cut:
        yield Doubt(
            f"{name} reaches the first or last slice: the image may end inside it, as no training image does.", name
        )


def _intensity_doubts(name: str, found: Measured, norm: StructureNorm, seen: Intensities) -> Iterator[Doubt]:
    unit, least = (" HU", LEAST_INTENSITY_MARGIN) if seen.hounsfield else (" deviations", LEAST_MARGIN)
    # Models of earlier versions know no contrasts, and of images without absolute scale no intensities.
    if seen.hounsfield or norm.contrast is not None:
        excess = _outside(found.intensity, norm.intensity, least=least)
        if excess > 1:
            low, high = norm.intensity
            yield Doubt(
                f"{name} has a median of {_number(found.intensity + seen.offset)}{unit}; in the training cases it has "
                f"{_range((low + seen.offset, high + seen.offset))}{unit}.",
                name,
                excess,
            )
            return
    if norm.contrast is not None and found.contrast is not None and norm.cases >= FEWEST_CASES:
        excess = _outside(found.contrast, norm.contrast, least=least)
        if excess > 1:
            yield Doubt(
                f"{name} differs from what lies around it by {_number(found.contrast)}{unit}; in the training cases by "
                f"{_range(norm.contrast)}{unit}: look at its outline.",
                name,
                excess,
            )


def _position_doubts(name: str, place: npt.NDArray, norm: StructureNorm, spread: float) -> Iterator[Doubt]:
    for axis, value, usual in zip(AXES, place, norm.position_mm, strict=True):
        excess = _outside(value, usual, least=LEAST_POSITION_MARGIN * spread)
        if excess > 1:
            yield Doubt(
                f"{name} lies {abs(value - np.clip(value, *usual)):.0f} mm off (from {axis}) from where the "
                "training cases show it beside the other structures; is the image flipped?",
                name,
                excess,
            )
            return


def _ratio(value: float, usual: Range) -> float:
    """How many times a size is above the largest, or below the smallest; 1 within."""
    low, high = usual
    return max(value / max(high, 1e-9), low / max(value, 1e-9), 1.0)


def _outside(value: float, usual: Range, *, least: float) -> float:
    """Distance from a range in what is tolerated: the width of the range, or the least margin."""
    low, high = usual
    return max(low - value, value - high, 0.0) / max(least, high - low, 1e-9)


def _spread(norms: Mapping[str, StructureNorm]) -> float:
    """Root mean square distance of the structures from their middle, in mm."""
    middles = [[(low + high) / 2 for low, high in norm.position_mm] for norm in norms.values()]
    return float(np.sqrt(np.mean(np.sum(np.square(middles), axis=1)))) if middles else 0.0


def _range(values: Range) -> str:
    low, high = (_number(value) for value in values)
    return low if low == high else f"{low} to {high}"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"
