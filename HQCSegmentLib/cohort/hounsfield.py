"""Whether intensities are Hounsfield units, possibly stored with an offset, told from the values alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

AIR_HU = -500.0
"""An image whose lowest value is below this is taken for CT in Hounsfield units: no other modality is so negative."""

STORED_OFFSET = -1024.0
"""What to add to a CT that was stored without negative values, as some data sets and old scanners do."""

TISSUE_HU = (-150.0, 150.0)
"""Fat, water, muscle and organs."""

LEAST_TISSUE_PART = 0.6
"""Of the voxels that are no air, at least this part lies within TISSUE_HU; in head-and-neck CT it is 0.74 to 0.83."""

LEAST_AIR_PART = 0.05

SAMPLES = 500_000


def hounsfield_offset(array: npt.NDArray) -> float | None:
    """What to add to intensities to have Hounsfield units: 0 or -1024; None where they are no CT.

    Args:
        array: Image of any shape and number type.
    """
    lowest = float(array.min())
    if lowest < AIR_HU:
        return 0.0
    if lowest < 0:
        return None
    units = array.ravel(order="K")[:: max(1, array.size // SAMPLES)].astype(np.float32) + STORED_OFFSET
    body = units[units > AIR_HU]
    if not body.size or body.size > (1 - LEAST_AIR_PART) * units.size:
        return None
    tissue = np.mean((body >= TISSUE_HU[0]) & (body <= TISSUE_HU[1]))
    return STORED_OFFSET if tissue >= LEAST_TISSUE_PART else None
