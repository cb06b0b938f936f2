"""From an image as it comes to the array that a network sees, and back to the image's own geometry.

The steps are: axes exchanged and flipped to be nearest to RAS (exact), resampled to the plan's spacing over exactly
the same box, intensities normalised, each channel by itself. The way back undoes them in reverse, so that a result
always carries the input's own affine and shape.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from HQCSegmentLib.cohort.resampling import resample_image, resample_label
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Grid, Image, Reorientation
from HQCSegmentLib.normalization import Normalization

IMAGE_PERCENTILES = (0.5, 99.5)
"""Per-image clipping before z-scoring: single bright voxels (vessels, artefacts) would flatten everything else."""


ONLY_CHANNEL = "image"
"""Name of the channel where each case has one image."""


class Channel(BaseModel):
    """How the intensities of one channel are prepared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default=ONLY_CHANNEL, min_length=1, description="what the image is, such as CT, PET or T1")
    normalization: Normalization = Field(
        description="ct: clip to [low, high] HU and use the cohort's mean and deviation; zscore: each image by its own"
    )
    low: float = Field(default=0.0, description="lowest intensity kept, for ct")
    high: float = Field(default=0.0, description="highest intensity kept, for ct")
    mean: float = Field(default=0.0, description="mean intensity inside structures, for ct")
    deviation: float = Field(default=1.0, gt=0, description="deviation of intensities inside structures, for ct")


class Preprocessing(BaseModel):
    """How images are prepared; stored in the bundle, so that segmenting does exactly what training did.

    The normalisation of a single channel may also be given beside the spacing, as bundles of earlier versions have it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spacing: tuple[float, float, float] = Field(description="target spacing along R, A, S in mm")
    channels: tuple[Channel, ...] = Field(min_length=1, description="images of a case, in the order of the network")

    @model_validator(mode="before")
    @classmethod
    def _of_one_channel(cls, content: Any) -> Any:
        return in_channels(content, Channel.model_fields)

    @property
    def names(self) -> tuple[str, ...]:
        """What the channels are."""
        return tuple(channel.name for channel in self.channels)


def in_channels(content: Any, names: Collection[str]) -> Any:
    """Settings of the only channel, given beside others, as a list of channels."""
    if not isinstance(content, Mapping) or "channels" in content:
        return content
    channel = {name: value for name, value in content.items() if name in names}
    return {name: value for name, value in content.items() if name not in names} | {"channels": [channel]}


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image ready for a network.

    Attributes:
        array: float32, (channels, R, A, S), the latter up to obliqueness. In memory any axis may run fastest.
        grid: Grid of a channel of `array`.
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
        InputError: if it has another number of channels than is prepared for, or a channel holds values that are not
            finite, or one value only.
    """
    check_channels(image, preprocessing.names)
    for channel in image.channels:
        _check_content(channel, name=image.name)
    reorientation = Reorientation.to_ras(image.affine)
    oriented = image.grid.reoriented(reorientation)
    target = oriented.resampled(preprocessing.spacing)
    prepared = []
    for channel, how in zip(image.channels, preprocessing.channels, strict=True):
        array = reorientation.apply(channel)
        # Either way an array of its own, with its slices one after the other in memory as the image has them.
        resampled = array.astype(np.float32) if target.shape == oriented.shape else resample_image(array, target.shape)
        prepared.append(_normalise(resampled, how, name=image.name))
    together = prepared[0][None] if len(prepared) == 1 else np.stack(prepared)
    return Prepared(together, target, image.grid, reorientation)


def check_channels(image: Image, names: Sequence[str]) -> None:
    """Refuse an image with another number of channels than there are names.

    Raises:
        InputError: saying what is needed and what is there.
    """
    if len(image.channels) != len(names):
        needed = "one image"
        if len(names) > 1:
            needed = f"{len(names)} images ({', '.join(names)}, in this order, on the command line joined by +)"
        there = "one is" if len(image.channels) == 1 else f"{len(image.channels)} are"
        msg = f"case {image.name}: the model needs {needed} of each patient, but {there} given."
        raise InputError(msg)


def prepare_label(label: npt.NDArray[np.uint16], prepared: Prepared) -> npt.NDArray[np.uint16]:
    """Bring a label map (i, j, k) of the same image to the prepared grid, by linear interpolation per structure."""
    array = prepared.reorientation.apply(label)
    if array.shape != prepared.grid.shape:
        return resample_label(array, prepared.grid.shape)
    # A copy, since torch takes no axes that run backwards.
    return array.copy(order="K")


def _check_content(array: npt.NDArray, *, name: str) -> None:
    """Refuse an image with values that are not finite in single precision, or with one value only."""
    # The least and the largest are not finite where any value is not.
    with np.errstate(over="ignore"):
        least, largest = np.float32(array.min()), np.float32(array.max())
    if not np.isfinite([least, largest]).all():
        msg = f"case {name}: the image holds values that are not finite numbers."
        raise InputError(msg)
    if least == largest:
        msg = f"case {name}: the image has the same value everywhere."
        raise InputError(msg)


def _normalise(array: npt.NDArray[np.float32], how: Channel, *, name: str) -> npt.NDArray[np.float32]:
    """Normalise in place."""
    if how.normalization == "ct":
        np.clip(array, np.float32(how.low), np.float32(how.high), out=array)
        array -= np.float32(how.mean)
        array /= np.float32(how.deviation)
        return array
    low, high = np.percentile(array, IMAGE_PERCENTILES)
    if not high > low:
        # Nearly all voxels are the same background: there is no bulk that single voxels could flatten.
        low, high = array.min(), array.max()
    if not high > low:
        msg = f"case {name}: the image has the same value everywhere at the spacing of the plan."
        raise InputError(msg)
    np.clip(array, np.float32(low), np.float32(high), out=array)
    mean, deviation = array.mean(dtype=np.float64), array.std(dtype=np.float64)
    array -= np.float32(mean)
    array /= np.float32(deviation)
    return array
