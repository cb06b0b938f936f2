"""An image of a patient: voxels and where they are."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_reference import SeriesReference
from HQCSegmentLib.imaging.geometry import FloatArray, Grid


@dataclass(frozen=True, eq=False)
class Image:
    """One scan of a patient: a scalar volume, or several on one grid (CT and PET, T1 and T2).

    Attributes:
        array: Voxels of the first channel, axes (i, j, k). HU for CT. Contours are drawn on it.
        affine: 4x4, voxel index to RAS millimetres.
        name: Alias of the case, never a patient's name.
        series: The DICOM series that the first channel was read from, where there is one.
        others: Voxels of further channels, on the same grid.

    Raises:
        InputError: if an array is not three-dimensional, channels have different shapes, or the affine is not an
            invertible 4x4 matrix.
    """

    array: npt.NDArray
    affine: FloatArray
    name: str = "image"
    series: SeriesReference | None = field(default=None, repr=False)
    others: tuple[npt.NDArray, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if self.array.ndim != 3:
            msg = f"{self.name}: the image has shape {self.array.shape}; a single 3D volume is needed."
            raise InputError(msg)
        if any(other.shape != self.array.shape for other in self.others):
            shapes = ", ".join(str(channel.shape) for channel in self.channels)
            msg = f"{self.name}: the channels have the shapes {shapes}; they must be on one grid."
            raise InputError(msg)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
            msg = f"{self.name}: the affine must be an invertible 4x4 matrix, got {affine.tolist()}."
            raise InputError(msg)
        object.__setattr__(self, "affine", affine)

    @property
    def channels(self) -> tuple[npt.NDArray, ...]:
        """Voxels of all channels, each (i, j, k)."""
        return self.array, *self.others

    @property
    def grid(self) -> Grid:
        """Shape and affine."""
        shape = self.array.shape
        return Grid((shape[0], shape[1], shape[2]), self.affine)
