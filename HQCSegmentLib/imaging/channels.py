"""Several images of one patient as the channels of one: CT and PET, T1 and T2.

The first is the one that contours are drawn on and results lie on; the others are brought to its grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_folder import SeriesSummary
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.imaging.geometry import FloatArray, Grid
from HQCSegmentLib.imaging.image import Image
from HQCSegmentLib.imaging.image_files import read_image, to_simpleitk

LEAST_COVERED = 0.5
"""Part of the first image that every other must cover; less is another part of the body, or not registered."""

PROBES = 16
"""Places along each axis at which that is looked up."""


@dataclass(frozen=True)
class Source:
    """Where an image is.

    Attributes:
        path: Image file, or folder of a DICOM series.
        series: Which series of the folder, where several are there.
    """

    path: Path
    series: SeriesSummary | None = None

    def read(self, *, name: str, volumes: int = 1) -> Image:
        """The image.

        Args:
            name: Alias of the case.
            volumes: How many volumes the file holds, each a channel.

        Raises:
            InputError: if it cannot be read.
        """
        if self.path.is_dir():
            return read_series(self.path, name=name, series=self.series)
        return read_image(self.path, name=name, volumes=volumes)


def join(images: Sequence[Image]) -> Image:
    """The first image, with the others as further channels on its grid.

    An image on another grid is interpolated linearly, smoothed first along axes where it is finer; beyond its edges it
    has its lowest value.

    Raises:
        InputError: if two series have different frames of reference, or an image covers less than half of the first.
    """
    first, *others = images
    if not others:
        return first
    brought = [channel for other in others for channel in _brought(other, first)]
    return replace(first, others=(*first.others, *brought))


def _brought(other: Image, first: Image) -> list[npt.NDArray]:
    """Channels of an image on the grid of the first."""
    if first.series is not None and other.series is not None:
        frames = first.series.frame_of_reference_uid, other.series.frame_of_reference_uid
        if not all(frames) or frames[0] != frames[1]:
            msg = (
                f"case {first.name}: its images have different frames of reference, so nothing says how they lie to "
                "each other; register one to the other first, and save it in the other's frame of reference."
            )
            raise InputError(msg)
    if first.grid.same_as(other.grid):
        return list(other.channels)
    covered = _covered(first.grid, other.grid)
    if covered < LEAST_COVERED:
        msg = (
            f"case {first.name}: one of its images covers only {covered:.0%} of the first one (at least "
            f"{LEAST_COVERED:.0%} is needed); are they of the same part of the body, and registered?"
        )
        raise InputError(msg)
    return [_interpolated(channel, other.affine, first.grid) for channel in other.channels]


def _covered(grid: Grid, other: Grid) -> float:
    """Part of a grid that lies inside another."""
    sides = [np.linspace(0, side - 1, min(side, PROBES)) for side in grid.shape]
    places = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 3)
    other_from_grid = np.linalg.inv(other.affine) @ grid.affine
    there = places @ other_from_grid[:3, :3].T + other_from_grid[:3, 3]
    return float(((there >= -0.5) & (there <= np.array(other.shape) - 0.5)).all(axis=1).mean())


def _interpolated(array: npt.NDArray, affine: FloatArray, grid: Grid) -> npt.NDArray[np.float32]:
    """Voxels on another grid."""
    import SimpleITK as sitk

    image = to_simpleitk(array.astype(np.float32), affine)
    # How far one goes along each axis of the image from one voxel of the grid to the next.
    steps = np.abs(np.linalg.inv(affine)[:3, :3] @ grid.affine[:3, :3]).max(axis=1)
    sigmas = [
        0.5 * float(np.sqrt(step**2 - 1)) * spacing if step > 1 and side > 1 else 0.0
        for step, spacing, side in zip(steps, image.GetSpacing(), array.shape, strict=True)
    ]
    if any(sigmas):
        image = sitk.DiscreteGaussian(
            image, [sigma**2 for sigma in sigmas], maximumKernelWidth=64, useImageSpacing=True
        )
    reference = to_simpleitk(np.zeros((1, 1, 1), np.float32), grid.affine)
    resampled = sitk.Resample(
        image, grid.shape, sitk.Transform(), sitk.sitkLinear, reference.GetOrigin(), reference.GetSpacing(),
        reference.GetDirection(), float(array.min()), sitk.sitkFloat32,
    )  # fmt: skip
    return sitk.GetArrayFromImage(resampled).transpose(2, 1, 0)
