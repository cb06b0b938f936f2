"""The same voxels in another order: axes swapped or reversed, nothing resampled."""

from __future__ import annotations

import numpy.typing as npt

from HQCSegmentLib.imaging.geometry import FloatArray, Grid, Reorientation


def in_order_of(array: npt.NDArray, affine: FloatArray, grid: Grid) -> npt.NDArray | None:
    """Voxels in the order of `grid`; None where they do not lie on the same places.

    Args:
        array: Voxels, axes (i, j, k).
        affine: 4x4, their index to RAS millimetres.
        grid: Where they are wanted.
    """
    own, wanted = Reorientation.to_ras(affine), Reorientation.to_ras(grid.affine)
    shape = array.shape
    there = Grid((shape[0], shape[1], shape[2]), affine).reoriented(own)
    if not there.same_as(grid.reoriented(wanted)):
        return None
    return wanted.undo(own.apply(array))
