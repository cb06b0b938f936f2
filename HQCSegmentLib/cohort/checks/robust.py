"""Statistics that a few odd cases cannot move."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DEVIATION_FROM_MAD = 1.4826
"""The median absolute deviation times this is the standard deviation of a normal distribution."""

ENOUGH_CASES = 5
"""Fewer cases have no rest to be far outside of."""


def distances(values: npt.ArrayLike, *, least: float) -> npt.NDArray[np.float64]:
    """How many robust standard deviations each value is from the median, with its sign.

    Args:
        values: One for each case.
        least: The deviation is taken to be at least this, so that cases that agree closely are not called odd for
            differences that do not matter.

    Returns:
        One for each case, in units of the median absolute deviation made equal to the standard deviation of a normal
        distribution.
    """
    values = np.asarray(values, float)
    offset = values - np.median(values)
    return offset / max(DEVIATION_FROM_MAD * float(np.median(np.abs(offset))), least)
