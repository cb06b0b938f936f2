"""What the checks know of a case: its voxels while it is read, and a small summary afterwards."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.case import Case, LabelledCase
from HQCSegmentLib.cohort.hounsfield import hounsfield_offset
from HQCSegmentLib.imaging import Reorientation
from HQCSegmentLib.imaging.geometry import FloatArray

SIGNATURE_SIZE = 8192
"""Places that images are compared at."""

SAMPLES = 50_000
"""Voxels of a structure that its median intensity is taken from."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class SeenChannel:
    """One image of a case while its voxels are in memory.

    Attributes:
        name: What it is, such as CT; empty where the case has one image only.
        array: Voxels, (i, j, k).
    """

    name: str
    array: npt.NDArray

    @property
    def subject(self) -> str:
        """Beginning of a sentence about it."""
        return f"the {self.name} image" if self.name else "the image"

    @functools.cached_property
    def range(self) -> tuple[float, float]:
        """Lowest and highest intensity."""
        return float(self.array.min()), float(self.array.max())

    @functools.cached_property
    def offset(self) -> float | None:
        """What to add to intensities to have Hounsfield units; None where they are no CT."""
        return hounsfield_offset(self.array)


@dataclass(frozen=True, eq=False)
class SeenCase:
    """A case while its voxels are in memory.

    Attributes:
        case: Where it was read from.
        labelled: Image and label map.
        structures: Names of the cohort's structures by label value.
        channel_names: What the images are.
    """

    case: Case
    labelled: LabelledCase
    structures: Mapping[int, str]
    channel_names: Sequence[str]

    @property
    def name(self) -> str:
        """Alias of the case."""
        return self.case.name

    @functools.cached_property
    def boxes(self) -> dict[int, Box]:
        """Smallest box around each structure that has voxels, by label value."""
        from scipy.ndimage import find_objects

        found = find_objects(self.labelled.label.astype(np.int32))
        return {value: box for value, box in enumerate(found, start=1) if box is not None}

    @functools.cached_property
    def channels(self) -> tuple[SeenChannel, ...]:
        """The images, in order."""
        arrays = self.labelled.image.channels
        names = self.channel_names if len(arrays) > 1 else [""]
        return tuple(SeenChannel(name, array) for name, array in zip(names, arrays, strict=True))

    def mask(self, value: int) -> npt.NDArray[np.bool_]:
        """Voxels of a structure inside its box, (i, j, k) of the box."""
        return self.labelled.label[self.boxes[value]] == value


@dataclass(frozen=True)
class StructureFacts:
    """One drawn structure of one case.

    Attributes:
        millilitres: Volume.
        center: Centroid, RAS millimetres.
        intensities: Median intensity inside, in each channel.
    """

    millilitres: float
    center: tuple[float, float, float]
    intensities: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ChannelFacts:
    """What is kept of one image of a case.

    Attributes:
        subject: Beginning of a sentence about it.
        offset: What to add to intensities to have Hounsfield units; None where they are no CT.
        digest: SHA-256 of the voxels.
        signature: Fine texture in RAS order, mean 0 and length 1, shape (SIGNATURE_SIZE,).
    """

    subject: str
    offset: float | None
    digest: str
    signature: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CaseFacts:
    """What is kept of a case.

    Attributes:
        case: Where it was read from.
        shape: Voxels along i, j, k.
        spacing: Millimetres along R, A, S.
        center: Center of the image, RAS millimetres.
        channels: Of each image.
        structures: By label value; those with voxels only.
    """

    case: Case
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    center: tuple[float, float, float]
    channels: tuple[ChannelFacts, ...]
    structures: dict[int, StructureFacts]

    @property
    def name(self) -> str:
        """Alias of the case."""
        return self.case.name


def facts_of(seen: SeenCase) -> CaseFacts:
    """Summarise a case."""
    image = seen.labelled.image
    reorientation = Reorientation.to_ras(image.affine)
    grid = image.grid.reoriented(reorientation)
    corners = image.grid.corners()
    return CaseFacts(
        case=seen.case,
        shape=image.grid.shape,
        spacing=grid.spacing,
        center=_point(corners.mean(axis=0)),
        channels=tuple(
            ChannelFacts(one.subject, one.offset, _digest(one.array), _signature(reorientation.apply(one.array)))
            for one in seen.channels
        ),
        structures={value: _structure(seen, value) for value in seen.boxes if value in seen.structures},
    )


def _structure(seen: SeenCase, value: int) -> StructureFacts:
    image, box, mask = seen.labelled.image, seen.boxes[value], seen.mask(value)
    places = np.argwhere(mask)
    center = places.mean(axis=0) + [one.start for one in box]
    inside = [one.array[box][mask] for one in seen.channels]
    return StructureFacts(
        millilitres=len(places) * image.grid.voxel_millilitres,
        center=_point(image.affine[:3, :3] @ center + image.affine[:3, 3]),
        intensities=tuple(float(np.median(one[:: max(1, one.size // SAMPLES)])) for one in inside),
    )


def _point(position: FloatArray) -> tuple[float, float, float]:
    right, anterior, superior = (float(value) for value in position)
    return right, anterior, superior


def _digest(array: npt.NDArray) -> str:
    """SHA-256 of shape and voxels; the number type does not matter where the values are the same small integers."""
    whole = array.dtype.kind in "iu" and array.dtype.itemsize <= 2
    values = array.astype(np.int32) if whole else array
    return hashlib.sha256(repr(array.shape).encode() + np.ascontiguousarray(values).tobytes()).hexdigest()


def _signature(array: npt.NDArray) -> npt.NDArray[np.float32]:
    """Differences of neighbouring voxels at evenly spread places.

    Noise and fine texture are another in every scan, while a copy with another scale has the same up to a factor.
    """
    numbers = np.nan_to_num(array.astype(np.float32), posinf=0, neginf=0)
    steps = np.diff(numbers, axis=0).ravel()
    if not steps.size:
        return np.zeros(SIGNATURE_SIZE, np.float32)
    steps = steps[np.linspace(0, steps.size - 1, SIGNATURE_SIZE).astype(int)]
    # Edges are alike in all patients, and large; padding has no texture.
    textured = np.abs(steps[steps != 0])
    limit = float(np.percentile(textured, 80)) if textured.size else 0.0
    steps = np.clip(steps, -limit, limit)
    steps -= steps.mean()
    return steps / max(float(np.linalg.norm(steps)), 1e-30)
