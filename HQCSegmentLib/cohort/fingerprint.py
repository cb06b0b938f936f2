"""What the images and structures of a cohort are like, measured once before planning."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from HQCSegmentLib.cohort.appearance import MOST_PROFILES, Profile, profile
from HQCSegmentLib.cohort.case import LabelledCase
from HQCSegmentLib.cohort.hounsfield import hounsfield_offset
from HQCSegmentLib.cohort.norms import StructureNorm, structure_norms
from HQCSegmentLib.cohort.preprocessing import (
    IMAGE_PERCENTILES,
    ONLY_CHANNEL,
    Channel,
    Preprocessing,
    in_channels,
)
from HQCSegmentLib.imaging import Reorientation
from HQCSegmentLib.normalization import Normalization

SAMPLES_PER_CASE = 20_000

ANISOTROPIC = 3.0
"""Largest over smallest spacing from which an axis counts as far coarser; as nnU-Net has it."""


class Intensities(BaseModel):
    """Measured intensities of one channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default=ONLY_CHANNEL, min_length=1, description="what the image is, such as CT, PET or T1")
    hounsfield: bool = Field(description="whether intensities are Hounsfield units, up to the offset")
    offset: float = Field(
        default=0.0, description="added to intensities gives HU: -1024 for CT without negative values"
    )
    foreground_low: float = Field(description="0.5th percentile of intensities inside structures")
    foreground_high: float = Field(description="99.5th percentile of intensities inside structures")
    foreground_mean: float = Field(description="mean intensity inside structures")
    foreground_deviation: float = Field(description="standard deviation of intensities inside structures")
    profiles: tuple[tuple[float, ...], ...] = Field(
        default=(),
        description="percentiles 2.5 to 97.5 in steps of 5 of some training images: HU above air, or deviations from "
        "the image's mean",
    )

    def channel(self, normalization: Normalization | None = None) -> Channel:
        """The normalisation that is asked for, or that these measurements suggest: HU are kept absolute."""
        if (normalization or ("ct" if self.hounsfield else "zscore")) == "zscore":
            return Channel(name=self.name, normalization="zscore")
        return Channel(
            name=self.name,
            normalization="ct",
            low=self.foreground_low,
            high=self.foreground_high,
            mean=self.foreground_mean,
            deviation=self.foreground_deviation,
        )


class Fingerprint(BaseModel):
    """Measured properties of a cohort; axes are R, A, S after reorientation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: int = Field(description="number of cases measured")
    median_spacing: tuple[float, float, float] = Field(description="median spacing along R, A, S in mm")
    median_extent: tuple[float, float, float] = Field(description="median size of the images along R, A, S in mm")
    channels: tuple[Intensities, ...] = Field(min_length=1, description="images of a case, in the order of the network")
    median_shape: tuple[int, int, int] | None = Field(
        default=None, description="median voxels of the images along R, A, S; null in models of earlier versions"
    )
    fine_spacing: tuple[float, float, float] | None = Field(
        default=None, description="10th percentile of the spacing along R, A, S in mm; null as above"
    )
    frequencies: dict[str, float] = Field(
        default_factory=dict, description="mean part of an image that a drawn structure fills, by name"
    )
    structures: dict[str, StructureNorm] = Field(
        default_factory=dict, description="size, density and place of each structure, by name"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_one_channel(cls, content: Any) -> Any:
        return in_channels(content, Intensities.model_fields)

    @property
    def names(self) -> tuple[str, ...]:
        """What the channels are."""
        return tuple(channel.name for channel in self.channels)

    @property
    def anisotropy(self) -> float:
        """Largest over smallest median spacing."""
        return max(self.median_spacing) / min(self.median_spacing)

    @property
    def coarse_axis(self) -> int | None:
        """The axis with far coarser voxels than the others (0 R, 1 A, 2 S); None where there is none."""
        return int(np.argmax(self.median_spacing)) if self.anisotropy >= ANISOTROPIC else None

    def spacing(self) -> tuple[float, float, float]:
        """Spacing to work at: the median; along a far coarser axis that of the finer images (nnU-Net's rule).

        Source: Isensee et al. 2021, supplementary note 2: the 10th percentile, so that thin slices are not thrown away.
        """
        spacing = list(self.median_spacing)
        if self.coarse_axis is not None and self.fine_spacing is not None:
            others = max(value for axis, value in enumerate(spacing) if axis != self.coarse_axis)
            spacing[self.coarse_axis] = max(self.fine_spacing[self.coarse_axis], others)
        right, anterior, superior = (round(value, 4) for value in spacing)
        return right, anterior, superior

    def preprocessing(self, normalization: Normalization | None = None) -> Preprocessing:
        """The preparation that these measurements suggest; HU are kept absolute for CT, unless asked otherwise."""
        channels = tuple(channel.channel(normalization) for channel in self.channels)
        return Preprocessing(spacing=self.spacing(), channels=channels)


def fingerprint(
    cases: Iterable[LabelledCase],
    *,
    channels: Sequence[str] = (ONLY_CHANNEL,),
    structures: Mapping[int, str] | None = None,
) -> Fingerprint:
    """Measure cases; intensities are sampled evenly inside structures, so that large cases do not dominate.

    Args:
        cases: With as many images each as there are channels.
        channels: What the images of a case are.
        structures: Names by label value, to measure each structure too.
    """
    cases = list(cases)
    spacings, extents, shapes = [], [], []
    filled: dict[str, list[float]] = {name: [] for name in (structures or {}).values()}
    offsets: list[list[float | None]] = [[] for _ in channels]
    samples: list[list[npt.NDArray[np.float64]]] = [[] for _ in channels]
    for case in cases:
        grid = case.image.grid.reoriented(Reorientation.to_ras(case.image.affine))
        spacings.append(grid.spacing)
        extents.append(np.array(grid.spacing) * np.array(grid.shape))
        shapes.append(grid.shape)
        counts = np.bincount(case.label.ravel(order="K"), minlength=1 + max(structures or {0: ""}))
        for value, name in (structures or {}).items():
            if value in case.known:
                filled[name].append(float(counts[value]) / case.label.size)
        drawn = case.label > 0
        for number, array in enumerate(case.image.channels):
            offsets[number].append(hounsfield_offset(array))
            inside = array[drawn].astype(np.float64)
            samples[number].append(inside[:: max(1, inside.size // SAMPLES_PER_CASE)])
    common = [_common(seen) for seen in offsets]
    kept = cases[:: max(1, math.ceil(len(cases) / MOST_PROFILES))]
    return Fingerprint(
        cases=len(spacings),
        median_spacing=tuple(np.median(spacings, axis=0).tolist()),
        median_extent=tuple(np.median(extents, axis=0).tolist()),
        channels=tuple(
            _intensities(
                name,
                np.concatenate(samples[number]),
                offset=common[number],
                profiles=tuple(profile(case.image.channels[number], offset=common[number]) for case in kept),
            )
            for number, name in enumerate(channels)
        ),
        median_shape=tuple(round(side) for side in np.median(shapes, axis=0).tolist()),
        fine_spacing=tuple(np.percentile(spacings, 10, axis=0).tolist()),
        frequencies={name: float(np.mean(parts)) for name, parts in filled.items() if parts},
        structures=structure_norms(cases, structures or {}, hounsfield=common[0] is not None),
    )


def _common(offsets: Sequence[float | None]) -> float | None:
    """The offset of most images; an offset other than 0 must be that of all, since it is told by appearance only."""
    if 2 * offsets.count(0.0) > len(offsets):
        return 0.0
    return offsets[0] if len(set(offsets)) == 1 else None


def _intensities(
    name: str, sampled: npt.NDArray[np.float64], *, offset: float | None, profiles: tuple[Profile, ...]
) -> Intensities:
    low, high = np.percentile(sampled, IMAGE_PERCENTILES) if sampled.size else (0.0, 1.0)
    return Intensities(
        name=name,
        hounsfield=offset is not None,
        offset=offset or 0.0,
        foreground_low=float(low),
        foreground_high=float(high),
        foreground_mean=float(sampled.mean()) if sampled.size else 0.0,
        foreground_deviation=max(float(sampled.std()), 1e-6) if sampled.size else 1.0,
        profiles=profiles,
    )
