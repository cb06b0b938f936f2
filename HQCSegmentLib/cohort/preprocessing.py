"""From an image as it comes to the array that a network sees, and back to the image's own geometry.

The steps are: axes exchanged and flipped to be nearest to RAS (exact), resampled to the plan's spacing over exactly
the same box, intensities normalised. The way back undoes them in reverse, so that a result always carries the
input's own affine and shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from HQCSegmentLib.cohort.resampling import resample_image, resample_label
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Grid, Image, Reorientation

IMAGE_PERCENTILES = (0.5, 99.5)
"""Per-image clipping before z-scoring: single bright voxels (vessels, artefacts) would flatten everything else."""


class Preprocessing(BaseModel):
    """How images are prepared; stored in the bundle, so that segmenting does exactly what training did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spacing: tuple[float, float, float] = Field(description="target spacing along R, A, S in mm")
    normalization: Literal["ct", "zscore"] = Field(
        description="ct: clip to [low, high] HU and use the cohort's mean and deviation; zscore: each image by its own"
    )
    low: float = Field(default=0.0, description="lowest intensity kept, for ct")
    high: float = Field(default=0.0, description="highest intensity kept, for ct")
    mean: float = Field(default=0.0, description="mean intensity inside structures, for ct")
    deviation: float = Field(default=1.0, gt=0, description="deviation of intensities inside structures, for ct")


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image ready for a network.

    Attributes:
        array: float32, axes (R, A, S) up to obliqueness.
        grid: Grid of `array`.
        source: Grid of the image as it came.
        reorientation: Exchange and flips of axes between the two.
    """

    array: npt.NDArray[np.float32]
    grid: Grid
    source: Grid
    reorientation: Reorientation


def prepare(image: Image, preprocessing: Preprocessing) -> Prepared:
    """Reorient, resample and normalise one image.

    Raises:
        InputError: if it holds values that are not finite, or one value only.
    """
    _check_content(image)
    reorientation = Reorientation.to_ras(image.affine)
    oriented = image.grid.reoriented(reorientation)
    target = oriented.resampled(preprocessing.spacing)
    array = reorientation.apply(image.array)
    resampled = array.astype(np.float32) if target.shape == oriented.shape else resample_image(array, target.shape)
    normalised = np.ascontiguousarray(_normalise(resampled, preprocessing, name=image.name))
    return Prepared(normalised, target, image.grid, reorientation)


def prepare_label(label: npt.NDArray[np.uint16], prepared: Prepared) -> npt.NDArray[np.uint16]:
    """Bring a label map (i, j, k) of the same image to the prepared grid, by linear interpolation per structure."""
    array = prepared.reorientation.apply(label)
    if array.shape != prepared.grid.shape:
        array = resample_label(array, prepared.grid.shape)
    return np.ascontiguousarray(array)


def _check_content(image: Image) -> None:
    """Refuse an image with values that are not finite in single precision, or with one value only."""
    # The least and the largest are not finite where any value is not.
    with np.errstate(over="ignore"):
        least, largest = np.float32(image.array.min()), np.float32(image.array.max())
    if not np.isfinite([least, largest]).all():
        msg = f"case {image.name}: the image holds values that are not finite numbers."
        raise InputError(msg)
    if least == largest:
        msg = f"case {image.name}: the image has the same value everywhere."
        raise InputError(msg)


def _normalise(array: npt.NDArray[np.float32], how: Preprocessing, *, name: str) -> npt.NDArray[np.float32]:
    if how.normalization == "ct":
        result = np.clip(array, np.float32(how.low), np.float32(how.high))
        result -= np.float32(how.mean)
        result /= np.float32(how.deviation)
        return result
    low, high = np.percentile(array, IMAGE_PERCENTILES)
    if not high > low:
        # Nearly all voxels are the same background: there is no bulk that single voxels could flatten.
        low, high = array.min(), array.max()
    if not high > low:
        msg = f"case {name}: the image has the same value everywhere at the spacing of the plan."
        raise InputError(msg)
    array = np.clip(array, low, high)
    return ((array - array.mean()) / array.std()).astype(np.float32)
