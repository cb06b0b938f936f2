"""Where voxels are: affines, spacing, orientation, grids.

Convention of the whole library: arrays have axes (i, j, k), and an affine is a 4x4 float64 matrix that takes
voxel indices (i, j, k, 1) to millimetres in RAS, as NIfTI has it: +x Right, +y Anterior, +z Superior. SimpleITK
uses LPS with array axes (k, j, i); that change is made in `image_files` and nowhere else. DICOM's LPS positions
are changed where DICOM is read or written.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

GRID_TOLERANCE_VOXELS = 0.05
"""Two grids are the same when no corner differs by more than this part of the smallest spacing.

Wide enough for affines that went through float32 headers or DICOM decimal strings, and far below anything that
would move a contour.
"""

LPS_FROM_RAS: FloatArray = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Changes a RAS affine to LPS when multiplied from the left, and back: it is its own inverse."""


def spacing(affine: npt.ArrayLike) -> tuple[float, float, float]:
    """Distance of neighbouring voxel centres along i, j, k in millimetres."""
    i, j, k = np.linalg.norm(np.asarray(affine, float)[:3, :3], axis=0)
    return float(i), float(j), float(k)


@dataclass(frozen=True)
class Reorientation:
    """Exchange and flips of axes that bring an array closest to RAS; exact in both directions.

    `permutation[a]` is the source axis that becomes axis a; `flips[a]` says whether it is reversed.
    """

    permutation: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @classmethod
    def to_ras(cls, affine: npt.ArrayLike) -> Reorientation:
        """Reorientation after which each axis points mostly to Right, Anterior, Superior."""
        direction = np.asarray(affine, float)[:3, :3] / np.asarray(spacing(affine))
        # Of the six assignments take the one with the largest total agreement: unlike a greedy choice this is
        # stable for oblique images near 45 degrees.
        best = max(
            itertools.permutations(range(3)),
            key=lambda order: sum(abs(direction[axis, source]) for axis, source in enumerate(order)),
        )
        flips = [bool(direction[axis, source] < 0) for axis, source in enumerate(best)]
        return cls((best[0], best[1], best[2]), (flips[0], flips[1], flips[2]))

    def apply(self, array: npt.NDArray) -> npt.NDArray:
        """Array with axes (..., i, j, k) in the new orientation (a view)."""
        lead = array.ndim - 3
        moved = array.transpose(*range(lead), *(lead + axis for axis in self.permutation))
        return np.flip(moved, tuple(lead + axis for axis in range(3) if self.flips[axis]))

    def undo(self, array: npt.NDArray) -> npt.NDArray:
        """Inverse of `apply`: array with axes (..., R, A, S) in the orientation that it had (a view)."""
        lead = array.ndim - 3
        flipped = np.flip(array, tuple(lead + axis for axis in range(3) if self.flips[axis]))
        inverse = np.argsort(self.permutation)
        return flipped.transpose(*range(lead), *(lead + int(axis) for axis in inverse))


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of voxels in patient space: `shape` (I, J, K) and RAS `affine`."""

    shape: tuple[int, int, int]
    affine: FloatArray

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres along i, j, k."""
        return spacing(self.affine)

    @property
    def voxel_millilitres(self) -> float:
        """Volume of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000

    def corners(self) -> FloatArray:
        """RAS positions of the eight corner voxel centres, shape (8, 3), in millimetres."""
        ends = np.array(list(itertools.product(*((0, size - 1) for size in self.shape))), float)
        return ends @ self.affine[:3, :3].T + self.affine[:3, 3]

    def difference(self, other: Grid) -> float:
        """Largest distance of matching corners in units of this grid's smallest spacing (inf: other shape)."""
        if self.shape != other.shape:
            return float("inf")
        distance = np.linalg.norm(self.corners() - other.corners(), axis=1).max()
        return float(distance / min(self.spacing))

    def same_as(self, other: Grid, *, tolerance: float = GRID_TOLERANCE_VOXELS) -> bool:
        """Whether both grids put every voxel at the same place, up to `tolerance` voxels."""
        return self.difference(other) <= tolerance

    def reoriented(self, reorientation: Reorientation) -> Grid:
        """The same voxels after `Reorientation.apply`."""
        shape = [self.shape[axis] for axis in reorientation.permutation]
        change = np.zeros((4, 4))
        change[3, 3] = 1
        for axis, source in enumerate(reorientation.permutation):
            flipped = reorientation.flips[axis]
            change[source, axis] = -1 if flipped else 1
            change[source, 3] = shape[axis] - 1 if flipped else 0
        return Grid((shape[0], shape[1], shape[2]), self.affine @ change)

    def resampled(self, target: tuple[float, float, float]) -> Grid:
        """Grid of about `target` spacing (mm) that covers exactly the same box, edge of voxel to edge of voxel.

        The spacing is the nearest to `target` that divides the box into whole voxels.
        """
        shape = tuple(
            max(1, round(size * now / wanted))
            for size, now, wanted in zip(self.shape, self.spacing, target, strict=True)
        )
        zoom = np.array(self.shape) / np.array(shape)
        affine = self.affine.copy()
        affine[:3, :3] = self.affine[:3, :3] * zoom
        affine[:3, 3] = self.affine[:3, 3] + self.affine[:3, :3] @ ((zoom - 1) / 2)
        return Grid((shape[0], shape[1], shape[2]), affine)
