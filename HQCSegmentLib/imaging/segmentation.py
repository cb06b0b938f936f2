"""A segmentation: a label map in the geometry of the image that it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_reference import SeriesReference
from HQCSegmentLib.imaging.geometry import FloatArray, Grid
from HQCSegmentLib.imaging.structure import Structure


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Label map with named structures.

    Attributes:
        array: Label map, axes (i, j, k), uint8 or uint16; 0 is background.
        affine: 4x4, voxel index to RAS millimetres; the input image's own.
        structures: What the values stand for, in order of value.
        name: Alias of the case.
        series: The DICOM image series it refers to, where there is one.
        warnings: Sentences about why this result may be wrong.
        confidence: For each structure by name, the Dice that the network's own probabilities let expect, lowered
            where the image or the structure is unlike training; 0 where it was not found. Empty where nothing is known.
        agreement: For each structure by name, Dice between several predictions (mirrored images, an ensemble); empty
            where there was one.
        leads: How far the score of each voxel's label is ahead of the next one, float16, axes (i, j, k): where it falls
            to nothing, between the voxels, outlines run. None where nobody asked for it (`SegmentConfig.contours`).
    """

    array: npt.NDArray[np.unsignedinteger]
    affine: FloatArray
    structures: tuple[Structure, ...]
    name: str = "segmentation"
    series: SeriesReference | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()
    confidence: Mapping[str, float] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)
    leads: npt.NDArray[np.float16] | None = field(default=None, repr=False)

    @property
    def labels(self) -> dict[int, str]:
        """Structure names by label value."""
        return {structure.value: structure.name for structure in self.structures}

    @property
    def grid(self) -> Grid:
        """Shape and affine."""
        shape = self.array.shape
        return Grid((shape[0], shape[1], shape[2]), self.affine)

    def mask(self, name: str) -> npt.NDArray[np.bool_]:
        """Voxels of the structure called `name`, axes (i, j, k).

        Raises:
            InputError: if there is no structure of that name.
        """
        for structure in self.structures:
            if structure.name == name:
                return self.array == structure.value
        msg = f"{self.name}: no structure named {name!r}; there are {', '.join(self.labels.values())}."
        raise InputError(msg)
