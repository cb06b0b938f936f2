"""Planar contours on the slices of an image, and the voxels inside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.rasterize import Box, Shape, fill_between, fill_slices, skipped_slices
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.geometry import FloatArray, spacing

PLANE_TOLERANCE_SLICES = 0.5
"""A contour belongs to a slice when it lies nearer than this to it, in units of the slice distance."""

SAME_PLANE_SLICES = 0.01
"""Contours nearer than this along the normal lie in the same plane, in units of the slice distance."""


@dataclass(frozen=True, eq=False)
class PlacedContours:
    """Closed contours of one structure in voxel indices.

    Attributes:
        polygons: Vertices (i, j) of each contour, (points, 2); the last joins the first.
        planes: Height k of each contour, (contours,).
        nearest: Index of the slice nearest to each, (contours,).
    """

    polygons: list[FloatArray]
    planes: FloatArray
    nearest: npt.NDArray[np.int64]


def place_contours(contours: Sequence[FloatArray], affine: FloatArray, shape: Shape, *, where: str) -> PlacedContours:
    """Find the slice of each contour.

    Args:
        contours: Points in millimetres, each (points, 3).
        affine: 4x4, from voxel indices to the coordinates of the points.
        shape: Voxels of the image, (I, J, K).
        where: Begins the messages.

    Raises:
        InputError: if contours run across the slices or lie outside them.
    """
    voxel_from_points = np.linalg.inv(affine)
    lengths = np.array([len(points) for points in contours], np.int64)
    indices = np.concatenate(contours) @ voxel_from_points[:3, :3].T
    indices += voxel_from_points[:3, 3]
    ends = np.cumsum(lengths)
    starts = ends - lengths
    height = indices[:, 2]
    lowest, highest = np.minimum.reduceat(height, starts), np.maximum.reduceat(height, starts)
    if (highest - lowest).max() > PLANE_TOLERANCE_SLICES:
        msg = f"{where}: contours run across the image slices; redraw them on the slices of this series."
        raise InputError(msg)
    planes = np.add.reduceat(height, starts) / lengths
    # A plane halfway between two slices is always rounded up, whatever the last digit: np.rint would alternate.
    nearest = np.floor(planes + 0.5 + SAME_PLANE_SLICES / 10).astype(int)
    outside = int(((nearest < 0) | (nearest >= shape[2])).sum())
    if outside:
        msg = (
            f"{where}: {outside} of {len(contours)} contours lie outside the image slices; "
            "the series is incomplete or not the one that was contoured."
        )
        raise InputError(msg)
    return PlacedContours(np.split(indices[:, :2], ends[:-1]), planes, nearest)


def fill_contours(placed: PlacedContours, affine: FloatArray, shape: Shape) -> tuple[Box, int]:
    """Voxels inside contours, by the even-odd rule over all contours of a plane.

    Of contours in several planes near one slice the nearest plane counts. Where a structure was drawn on every second
    or third slice only, the slices between are filled in.

    Args:
        placed: The contours.
        affine: 4x4, from voxel indices to millimetres.
        shape: Voxels of the image, (I, J, K).

    Returns:
        The voxels, and the number of slices that were filled in.
    """
    chosen = _without_doubles(_nearest_plane(placed.planes, placed.nearest), placed.nearest, placed.polygons)
    slices = placed.nearest[chosen].tolist()
    box = fill_slices([placed.polygons[one] for one in chosen], slices, shape)
    skipped = skipped_slices(sorted(set(slices)))
    if skipped:
        fill_between(box, skipped, spacing=spacing(affine)[:2])
    return box, sum(high - low - 1 for low, high in skipped)


def _nearest_plane(planes: FloatArray, nearest: npt.NDArray[np.int64]) -> list[int]:
    """Contours of the plane that lies nearest to each slice.

    Contours drawn on a finer series put several planes on one slice; the even-odd rule across planes would cancel
    them.
    """
    distance = np.abs(planes - nearest)
    order = np.lexsort((distance, nearest))
    first = np.ones(len(order), bool)
    first[1:] = np.diff(nearest[order]) > 0
    plane = planes[order][first][np.cumsum(first) - 1]
    return np.sort(order[np.abs(planes[order] - plane) <= SAME_PLANE_SLICES]).tolist()


def _without_doubles(chosen: list[int], nearest: npt.NDArray[np.int64], polygons: list[FloatArray]) -> list[int]:
    """Contours without those that came before: the same contour written twice would cut itself out."""
    once = {(int(nearest[one]), polygons[one].tobytes()): one for one in reversed(chosen)}
    return sorted(once.values())
