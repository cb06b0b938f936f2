"""What the images and structures of a cohort are like, measured once before planning."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from HQCSegmentLib.cohort.case import LabelledCase
from HQCSegmentLib.cohort.preprocessing import IMAGE_PERCENTILES, Preprocessing
from HQCSegmentLib.imaging import Reorientation

AIR_HU = -500.0
"""An image whose lowest value is below this is taken for CT in Hounsfield units: no other modality is so negative."""

SAMPLES_PER_CASE = 20_000


class Fingerprint(BaseModel):
    """Measured properties of a cohort; axes are R, A, S after reorientation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: int = Field(description="number of cases measured")
    median_spacing: tuple[float, float, float] = Field(description="median spacing along R, A, S in mm")
    median_extent: tuple[float, float, float] = Field(description="median size of the images along R, A, S in mm")
    hounsfield: bool = Field(description="whether intensities are Hounsfield units")
    foreground_low: float = Field(description="0.5th percentile of intensities inside structures")
    foreground_high: float = Field(description="99.5th percentile of intensities inside structures")
    foreground_mean: float = Field(description="mean intensity inside structures")
    foreground_deviation: float = Field(description="standard deviation of intensities inside structures")

    def preprocessing(self) -> Preprocessing:
        """The preparation that these measurements suggest: median spacing, and HU kept absolute for CT."""
        spacing = tuple(round(value, 4) for value in self.median_spacing)
        if not self.hounsfield:
            return Preprocessing(spacing=spacing, normalization="zscore")  # type: ignore[arg-type]
        return Preprocessing(
            spacing=spacing,  # type: ignore[arg-type]
            normalization="ct",
            low=self.foreground_low,
            high=self.foreground_high,
            mean=self.foreground_mean,
            deviation=self.foreground_deviation,
        )


def fingerprint(cases: Iterable[LabelledCase]) -> Fingerprint:
    """Measure cases; intensities are sampled evenly inside structures, so that large cases do not dominate."""
    spacings, extents, lowest, samples = [], [], [], []
    for case in cases:
        grid = case.image.grid.reoriented(Reorientation.to_ras(case.image.affine))
        spacings.append(grid.spacing)
        extents.append(np.array(grid.spacing) * np.array(grid.shape))
        lowest.append(float(case.image.array.min()))
        inside = case.image.array[case.label > 0].astype(np.float64)
        samples.append(inside[:: max(1, inside.size // SAMPLES_PER_CASE)])
    intensities = np.concatenate(samples)
    low, high = np.percentile(intensities, IMAGE_PERCENTILES) if intensities.size else (0.0, 1.0)
    return Fingerprint(
        cases=len(spacings),
        median_spacing=tuple(np.median(spacings, axis=0).tolist()),
        median_extent=tuple(np.median(extents, axis=0).tolist()),
        hounsfield=float(np.median(lowest)) < AIR_HU,
        foreground_low=float(low),
        foreground_high=float(high),
        foreground_mean=float(intensities.mean()) if intensities.size else 0.0,
        foreground_deviation=max(float(intensities.std()), 1e-6) if intensities.size else 1.0,
    )
