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
    """One scalar volume.

    Attributes:
        array: Voxels, axes (i, j, k). HU for CT.
        affine: 4x4, voxel index to RAS millimetres.
        name: Alias of the case, never a patient's name.
        series: The DICOM series it was read from, where there is one.

    Raises:
        InputError: if the array is not three-dimensional or the affine is not an invertible 4x4 matrix.
    """

    array: npt.NDArray
    affine: FloatArray
    name: str = "image"
    series: SeriesReference | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if self.array.ndim != 3:
            msg = f"{self.name}: the image has shape {self.array.shape}; a single 3D volume is needed."
            raise InputError(msg)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
            msg = f"{self.name}: the affine must be an invertible 4x4 matrix, got {affine.tolist()}."
            raise InputError(msg)
        object.__setattr__(self, "affine", affine)

    @property
    def grid(self) -> Grid:
        """Shape and affine."""
        shape = self.array.shape
        return Grid((shape[0], shape[1], shape[2]), self.affine)
