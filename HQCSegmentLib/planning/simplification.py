"""Fewer points in a contour, as long as it encloses the same voxels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from HQCSegmentLib.cohort.rasterize import fill_polygons
from HQCSegmentLib.imaging.geometry import FloatArray
from HQCSegmentLib.planning.contours import Rings

ATTEMPTS = 3
"""How often the tolerance is halved before the points are left as they are."""

FEWEST_POINTS = 4
"""A ring with fewer points would be lost on some readers, or enclose nothing."""


def simplified(
    parts: Sequence[Rings], *, spacing: tuple[float, float], tolerance_mm: float, lowest_dice: float
) -> list[Rings]:
    """Leave out points that move the outlines of a slice by less than a tolerance (Douglas and Peucker 1973).

    What the outlines enclose on the slice is compared before and after; where the Dice coefficient would fall below the
    limit, the tolerance is halved, at last to nothing.

    Args:
        parts: Rings of each part, vertices in voxel indices (points, 2).
        spacing: Size of a voxel along the two axes in mm.
        tolerance_mm: How far the outline may move; 0 keeps all points.
        lowest_dice: Of the enclosed voxels, before and after.
    """
    if tolerance_mm <= 0 or not parts:
        return list(parts)
    rings = [ring for part in parts for ring in part]
    low = np.floor(np.min([ring.min(axis=0) for ring in rings], axis=0)) - 1
    size = np.ceil(np.max([ring.max(axis=0) for ring in rings], axis=0)) - low + 2
    shape = (int(size[0]), int(size[1]))
    before = fill_polygons([ring - low for ring in rings], shape)
    for attempt in range(ATTEMPTS):
        fewer = [[_fewer(ring, spacing, tolerance_mm / 2**attempt) for ring in part] for part in parts]
        after = fill_polygons([ring - low for part in fewer for ring in part], shape)
        total = int(before.sum()) + int(after.sum())
        if not total or 2 * int((before & after).sum()) / total >= lowest_dice:
            return fewer
    return list(parts)


def _fewer(ring: FloatArray, spacing: tuple[float, float], tolerance_mm: float) -> FloatArray:
    from skimage.measure import approximate_polygon

    millimetres = np.concatenate([ring, ring[:1]]) * spacing
    # The ends of a line stay, so it is cut where it is farthest from the start: the ring has no end of its own.
    middle = int(np.linalg.norm(millimetres - millimetres[0], axis=1).argmax())
    halves = [approximate_polygon(half, tolerance_mm) for half in (millimetres[: middle + 1], millimetres[middle:])]
    points = np.concatenate([halves[0][:-1], halves[1][:-1]]) / spacing
    return points if len(points) >= FEWEST_POINTS else ring
