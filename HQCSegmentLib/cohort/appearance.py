"""How the intensities of an image are distributed, to be compared with those of the training images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.hounsfield import AIR_HU
from HQCSegmentLib.cohort.preprocessing import IMAGE_PERCENTILES

LEVELS = tuple(float(level) for level in np.linspace(2.5, 97.5, 20))
"""Percentiles of a profile."""

MOST_PROFILES = 32
"""Training images whose profiles a model keeps."""

FEWEST_PROFILES = 3
"""Training images below which nothing is compared: too few to tell how much images differ."""

LEAST_SPREAD_HU, LEAST_SPREAD = 15.0, 0.02
"""Training images may be alike by chance: a smaller distance than this is not told from them (HU; deviations)."""

SAMPLES = 300_000

Profile = tuple[float, ...]


def standardised(array: npt.NDArray) -> npt.NDArray[np.float32]:
    """An image without absolute scale in deviations from its mean, single bright voxels clipped.

    Args:
        array: Image of any shape and number type.
    """
    low, high = np.percentile(_sampled(array), IMAGE_PERCENTILES)
    clipped = np.clip(array.astype(np.float32), low, high)
    return (clipped - clipped.mean()) / max(float(clipped.std()), 1e-6)


def profile(array: npt.NDArray, *, offset: float | None) -> Profile:
    """Percentiles of an image at `LEVELS`: of a CT HU above air, of others deviations from the mean.

    Args:
        array: Image of any shape and number type.
        offset: Added to intensities gives HU; None where they are no HU.
    """
    sampled = _sampled(array)
    if offset is None:
        values = standardised(sampled)
    else:
        units = sampled.astype(np.float32) + offset
        body = units[units > AIR_HU]
        values = body if body.size else units
    return tuple(round(float(value), 4) for value in np.percentile(values, LEVELS))


def strangeness(own: Profile, usual: Sequence[Profile], *, hounsfield: bool) -> float | None:
    """How far a profile is from the nearest of the training images, in their own largest such distance.

    The distance of two profiles is the mean difference of their percentiles (a Wasserstein distance).

    Returns:
        None where there are too few to compare with.
    """
    if len(usual) < FEWEST_PROFILES:
        return None
    profiles = np.array(usual)
    between = np.abs(profiles[:, None] - profiles[None]).mean(axis=2)
    np.fill_diagonal(between, np.inf)
    spread = max(float(between.min(axis=1).max()), LEAST_SPREAD_HU if hounsfield else LEAST_SPREAD)
    return float(np.abs(profiles - np.array(own)).mean(axis=1).min()) / spread


def _sampled(array: npt.NDArray) -> npt.NDArray:
    # An odd step: a power of two would see few columns of an image only.
    return array.ravel(order="K")[:: (array.size // SAMPLES) | 1]
