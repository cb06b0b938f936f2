"""Outlines of binary slices: traced at sub-voxel precision, with holes joined as keyholes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.imaging.geometry import FloatArray


def outlines(mask: npt.NDArray[np.bool_]) -> list[FloatArray]:
    """Trace closed polygons around the parts of a binary slice, one for each part.

    The outline runs halfway between the centres of inner and outer voxels, so filling it by voxel centres
    gives the mask back. A part is connected along voxel edges, not across corners. Holes are joined to the
    outline by a keyhole, a cut of no width (DICOM PS3.3 C.8.8.6.3), which planning systems read alike.

    Args:
        mask: Slice with axes (i, j).

    Returns:
        Vertices in voxel indices (i, j), each of shape (points, 2), the first not repeated at the end.
    """
    from skimage.measure import label, regionprops

    polygons = []
    for region in regionprops(label(mask, connectivity=1)):
        corner = np.array(region.bbox[:2], float)
        polygons.append(_keyhole(_rings(region.image)) + corner)
    return polygons


def _rings(part: npt.NDArray[np.bool_]) -> list[FloatArray]:
    """Outer ring of a connected part and the rings of its holes, the outer ring first."""
    from skimage.measure import find_contours

    # One voxel of padding closes the rings of parts that touch the border; 1 is taken off again.
    rings = [ring - 1 for ring in find_contours(np.pad(part.astype(float), 1), 0.5)]
    rings.sort(key=_area, reverse=True)
    # The last point repeats the first.
    return [_corners(ring[:-1]) for ring in rings]


def _corners(ring: FloatArray) -> FloatArray:
    """Vertices where the ring turns; those on straight lines say nothing."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]


def _area(ring: FloatArray) -> float:
    """Area enclosed by a closed ring (shoelace formula)."""
    i, j = ring[:, 0], ring[:, 1]
    return abs(float(i @ np.roll(j, -1) - j @ np.roll(i, -1))) / 2


def _keyhole(rings: list[FloatArray]) -> FloatArray:
    """Join an outer ring and the holes in it to one polygon.

    Always the hole nearest to the polygon so far is joined, at the nearest pair of vertices: no other hole
    can lie between, so the cuts cross neither each other nor a hole.
    """
    from scipy.spatial import cKDTree

    polygon, holes = rings[0], list(rings[1:])
    while holes:
        tree = cKDTree(polygon)
        nearest = [tree.query(hole) for hole in holes]
        chosen = int(np.argmin([distance.min() for distance, _ in nearest]))
        distance, vertex = nearest[chosen]
        start = int(distance.argmin())
        cut = int(vertex[start])
        hole = np.roll(holes.pop(chosen), -start, axis=0)
        polygon = np.concatenate([polygon[: cut + 1], hole, hole[:1], polygon[cut:]])
    return polygon
