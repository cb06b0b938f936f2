"""What the images and structures of a cohort are like, measured once before planning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from HQCSegmentLib.cohort.case import LabelledCase
from HQCSegmentLib.cohort.norms import StructureNorm, structure_norms
from HQCSegmentLib.cohort.preprocessing import IMAGE_PERCENTILES, ONLY_CHANNEL, Channel, Preprocessing, in_channels
from HQCSegmentLib.imaging import Reorientation

AIR_HU = -500.0
"""An image whose lowest value is below this is taken for CT in Hounsfield units: no other modality is so negative."""

SAMPLES_PER_CASE = 20_000


class Intensities(BaseModel):
    """Measured intensities of one channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default=ONLY_CHANNEL, min_length=1, description="what the image is, such as CT, PET or T1")
    hounsfield: bool = Field(description="whether intensities are Hounsfield units")
    foreground_low: float = Field(description="0.5th percentile of intensities inside structures")
    foreground_high: float = Field(description="99.5th percentile of intensities inside structures")
    foreground_mean: float = Field(description="mean intensity inside structures")
    foreground_deviation: float = Field(description="standard deviation of intensities inside structures")

    def channel(self) -> Channel:
        """The normalisation that these measurements suggest: HU are kept absolute."""
        if not self.hounsfield:
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

    def preprocessing(self) -> Preprocessing:
        """The preparation that these measurements suggest: median spacing, and HU kept absolute for CT."""
        right, anterior, superior = (round(value, 4) for value in self.median_spacing)
        return Preprocessing(
            spacing=(right, anterior, superior), channels=tuple(channel.channel() for channel in self.channels)
        )


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
    spacings, extents = [], []
    lowest: list[list[float]] = [[] for _ in channels]
    samples: list[list[npt.NDArray[np.float64]]] = [[] for _ in channels]
    for case in cases:
        grid = case.image.grid.reoriented(Reorientation.to_ras(case.image.affine))
        spacings.append(grid.spacing)
        extents.append(np.array(grid.spacing) * np.array(grid.shape))
        drawn = case.label > 0
        for number, array in enumerate(case.image.channels):
            lowest[number].append(float(array.min()))
            inside = array[drawn].astype(np.float64)
            samples[number].append(inside[:: max(1, inside.size // SAMPLES_PER_CASE)])
    return Fingerprint(
        cases=len(spacings),
        median_spacing=tuple(np.median(spacings, axis=0).tolist()),
        median_extent=tuple(np.median(extents, axis=0).tolist()),
        channels=tuple(
            _intensities(name, np.concatenate(sampled), hounsfield=float(np.median(least)) < AIR_HU)
            for name, sampled, least in zip(channels, samples, lowest, strict=True)
        ),
        structures=structure_norms(cases, structures or {}),
    )


def _intensities(name: str, sampled: npt.NDArray[np.float64], *, hounsfield: bool) -> Intensities:
    low, high = np.percentile(sampled, IMAGE_PERCENTILES) if sampled.size else (0.0, 1.0)
    return Intensities(
        name=name,
        hounsfield=hounsfield,
        foreground_low=float(low),
        foreground_high=float(high),
        foreground_mean=float(sampled.mean()) if sampled.size else 0.0,
        foreground_deviation=max(float(sampled.std()), 1e-6) if sampled.size else 1.0,
    )
