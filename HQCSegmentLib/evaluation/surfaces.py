"""Surfaces of masks as small elements with a place and a size, and the distances between two of them.

An element sits at the corner where 2 x 2 x 2 voxels meet that are not all inside or all outside. It has the area of
the surface that marching cubes would put there, so that a slanted surface counts with its true area on any spacing
(Nikolov et al., J Med Internet Res 2021;23(7):e26151, "surface-distance" library). Outlines on a slice are made alike
of 2 x 2 pixels and have a length. What reaches the border of the array ends there.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.imaging.geometry import FloatArray

Mask = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]

ROUNDING_MM = 1e-6
"""Added to a tolerance: two steps of 0.7 mm are within 1.4 mm, whatever the last digit says."""


@dataclass(frozen=True, eq=False)
class Distances:
    """Distances of the elements of one surface to the nearest element of another.

    Attributes:
        millimetres: Of each element, shape (elements,).
        sizes: Area in mm² (on slices: length in mm) of each element, shape (elements,).
    """

    millimetres: FloatArray
    sizes: FloatArray

    def percentile(self, percent: float) -> float:
        """Distance within which this percentage of the surface lies."""
        order = np.argsort(self.millimetres, kind="stable")
        part = np.cumsum(self.sizes[order]) / self.sizes.sum()
        place = min(int(np.searchsorted(part, percent / 100)), len(order) - 1)
        return float(self.millimetres[order[place]])

    def size_within(self, tolerance_mm: float) -> float:
        """Size of the elements that lie no farther than this."""
        return float(self.sizes[self.millimetres <= tolerance_mm + ROUNDING_MM].sum())

    @classmethod
    def pooled(cls, parts: Sequence[Distances]) -> Distances:
        """All elements of several surfaces; those at the same distance (to 1e-6 mm) are one, of their whole size.

        On a grid only few distances occur, so what is kept for a case is small.
        """
        millimetres = np.concatenate([part.millimetres for part in parts])
        steps, place = np.unique(np.rint(millimetres / ROUNDING_MM).astype(np.int64), return_inverse=True)
        sizes = np.bincount(place, weights=np.concatenate([part.sizes for part in parts])).astype(np.float64)
        return cls(steps.astype(np.float64) * ROUNDING_MM, sizes)

    @property
    def integral(self) -> float:
        """Sum of distance times size."""
        return float(self.millimetres @ self.sizes)


def surface_area(mask: Mask, spacing: Spacing) -> float:
    """Area of the surface of a mask (i, j, k) in mm², with voxels of `spacing` mm."""
    codes = _codes(np.pad(mask, 1), axes=(0, 1, 2))
    return float(np.bincount(codes.ravel(), minlength=256) @ _areas(spacing))


def surface_distances(first: Mask, second: Mask, spacing: Spacing) -> tuple[Distances, Distances]:
    """Distances from each surface to the other; neither mask may be empty.

    Args:
        first: Mask with axes (i, j, k).
        second: Mask of the same shape.
        spacing: Size of a voxel along these axes in mm; the axes are perpendicular, and may lie anyhow in the patient.

    Returns:
        From first to second, and from second to first.
    """
    codes = [_codes(np.pad(mask, 1), axes=(0, 1, 2)) for mask in (first, second)]
    return _between(codes[0], codes[1], _areas(spacing), spacing)


def outline_length_beyond(
    mask: Mask, other: Mask, spacing: Spacing, *, tolerance_mm: float, slice_axis: int = 2
) -> float:
    """Length in mm of the outlines of `mask` that no outline of `other` on the same slice comes near to.

    Args:
        mask: Mask with axes (i, j, k).
        other: Mask of the same shape.
        spacing: Size of a voxel along these axes in mm.
        tolerance_mm: What is no farther away than this is near.
        slice_axis: Axis that runs from slice to slice.
    """
    from scipy.spatial import KDTree

    plane = [axis for axis in range(3) if axis != slice_axis]
    lengths = _lengths((spacing[plane[0]], spacing[plane[1]]))
    width = [(1, 1) if axis in plane else (0, 0) for axis in range(3)]
    mine, others = (_codes(np.pad(one, width), axes=plane) for one in (mask, other))
    on_mine, on_others = lengths[mine] > 0, lengths[others] > 0
    sizes = lengths[mine[on_mine]]
    # Slices are moved apart, so that the nearest outline is always one of the same slice.
    step = np.array(spacing, float)
    step[slice_axis] = 2 * tolerance_mm + 1
    missed = ~on_others[on_mine]
    if missed.any() and on_others.any():
        places = np.argwhere(on_mine)[missed] * step
        tree = KDTree(np.argwhere(on_others) * step)
        found, _ = tree.query(places, distance_upper_bound=tolerance_mm + ROUNDING_MM)
        missed[missed] = ~np.isfinite(found)
    return float(sizes[missed].sum())


def _between(
    first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8], sizes: FloatArray, spacing: Spacing
) -> tuple[Distances, Distances]:
    from scipy.spatial import KDTree

    on = [sizes[codes] > 0 for codes in (first, second)]
    places = [np.argwhere(one) * np.array(spacing) for one in on]
    result = []
    for one, other, codes in ((0, 1, first), (1, 0, second)):
        millimetres = np.zeros(len(places[one]))
        # Most elements of two similar surfaces are the same ones.
        apart = ~on[other][on[one]]
        if apart.any():
            millimetres[apart], _ = KDTree(places[other]).query(places[one][apart])
        result.append(Distances(millimetres, sizes[codes[on[one]]]))
    return result[0], result[1]


def _codes(mask: Mask, *, axes: tuple[int, ...] | list[int]) -> npt.NDArray[np.uint8]:
    """Which of the voxels around each corner are inside, as bits; the array is one shorter along `axes`."""
    shape = [size - 1 if axis in axes else size for axis, size in enumerate(mask.shape)]
    codes = np.zeros(shape, np.uint8)
    corners = list(itertools.product((0, 1), repeat=len(axes)))
    for bit, corner in enumerate(reversed(corners)):
        start = [0] * mask.ndim
        for axis, shift in zip(axes, corner, strict=True):
            start[axis] = shift
        part = mask[tuple(slice(a, a + size) for a, size in zip(start, shape, strict=True))]
        codes |= part.astype(np.uint8) << np.uint8(bit)
    return codes


@functools.lru_cache(maxsize=64)
def _areas(spacing: Spacing) -> FloatArray:
    """Area in mm² by code."""
    from monai.metrics.utils import create_table_neighbour_code_to_surface_area

    table, _ = create_table_neighbour_code_to_surface_area(spacing)
    return np.asarray(table, np.float64)


@functools.lru_cache(maxsize=64)
def _lengths(spacing: tuple[float, float]) -> FloatArray:
    """Length in mm by code."""
    from monai.metrics.utils import create_table_neighbour_code_to_contour_length

    table, _ = create_table_neighbour_code_to_contour_length(spacing)
    return np.asarray(table, np.float64)
