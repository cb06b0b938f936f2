"""How well a segmentation agrees with a reference.

What holds where a mask is empty, for every function here:

| | Dice, IoU, surface Dice | distances | added path length |
|---|---|---|---|
| both empty | 1 | 0 | 0 |
| only the prediction empty | 0 | undefined (nan) | all outlines of the reference |
| only the reference empty | 0 | undefined (nan) | 0 |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.evaluation.surfaces import (
    Distances,
    Spacing,
    outline_length_beyond,
    surface_area,
    surface_distances,
)

TOLERANCE_MM = 2.0
"""Distance up to which two surfaces count as the same, where the user says nothing else."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sums:
    """What the ratios are made of; sums over cases give the pooled ratios.

    Attributes:
        predicted_ml: Volume of the prediction.
        reference_ml: Volume of the reference.
        common_ml: Volume of the voxels in both.
        surface_mm2: Area of both surfaces.
        surface_within_mm2: Area of the part of both surfaces that lies within the tolerance of the other.
        measured_mm2: Area of the surfaces that a distance can be given for: none where one mask is empty.
        distance_mm3: Sum of distance times area over these.
    """

    predicted_ml: float = 0.0
    reference_ml: float = 0.0
    common_ml: float = 0.0
    surface_mm2: float = 0.0
    surface_within_mm2: float = 0.0
    measured_mm2: float = 0.0
    distance_mm3: float = 0.0

    @classmethod
    def of(cls, parts: Sequence[Sums]) -> Sums:
        """Sum over cases."""
        return cls(**{name: math.fsum(getattr(part, name) for part in parts) for name in cls.__dataclass_fields__})

    @property
    def dice(self) -> float:
        """2 |A n B| / (|A| + |B|) (Dice, Ecology 1945; Zijdenbos et al., IEEE Trans Med Imaging 1994)."""
        total = self.predicted_ml + self.reference_ml
        return 2 * self.common_ml / total if total else 1.0

    @property
    def iou(self) -> float:
        """Intersection over union |A n B| / |A u B| (Jaccard 1912)."""
        union = self.predicted_ml + self.reference_ml - self.common_ml
        return self.common_ml / union if union else 1.0

    @property
    def surface_dice(self) -> float:
        """Part of both surfaces within the tolerance of the other (Nikolov et al., J Med Internet Res 2021)."""
        return self.surface_within_mm2 / self.surface_mm2 if self.surface_mm2 else 1.0

    @property
    def mean_surface_distance_mm(self) -> float:
        """Mean distance of both surfaces to the other, by area (average symmetric surface distance)."""
        if not self.surface_mm2:
            return 0.0
        return self.distance_mm3 / self.measured_mm2 if self.measured_mm2 else math.nan


@dataclass(frozen=True)
class Agreement:
    """How well one mask agrees with a reference; see the top of this module for empty masks.

    Attributes:
        dice: 2 |A n B| / (|A| + |B|) (Dice 1945; Zijdenbos et al. 1994), 0 to 1.
        iou: |A n B| / |A u B| (Jaccard 1912), 0 to 1.
        surface_dice: Part of the area of both surfaces that lies within the tolerance of the other (Nikolov et al.,
            J Med Internet Res 2021;23(7):e26151), 0 to 1.
        hd95_mm: The larger of the distances within which 95 % of either surface lies from the other (Huttenlocher et
            al., IEEE Trans Pattern Anal 1993, in the form of Nikolov et al.: by area, not by number of voxels).
        mean_surface_distance_mm: Mean of the distances of both surfaces to the other, by area (average symmetric
            surface distance, Heimann et al., IEEE Trans Med Imaging 2009).
        added_path_length_mm: Length of the reference's outlines, slice by slice, that no outline of the prediction
            comes near to within the tolerance: what remains to be drawn by hand (Vaassen et al., Phys Imaging Radiat
            Oncol 2020;13:1-6, who count pixels of the outline; here their length is measured, which also holds for
            slanted outlines and oblong pixels. Their tolerance is none).
        predicted_ml: Volume of the prediction.
        reference_ml: Volume of the reference.
        volume_difference_ml: Prediction less reference.
        centroid_distance_mm: Between the centers of mass of the two masks.
        sums: What the ratios are made of, to pool cases.
        distances: From prediction to reference and from reference to prediction, to pool cases; None where either mask
            is empty.
    """

    dice: float
    iou: float
    surface_dice: float
    hd95_mm: float
    mean_surface_distance_mm: float
    added_path_length_mm: float
    predicted_ml: float
    reference_ml: float
    volume_difference_ml: float
    centroid_distance_mm: float
    sums: Sums = field(repr=False)
    distances: tuple[Distances, Distances] | None = field(repr=False, compare=False)


METRICS = tuple(name for name in Agreement.__dataclass_fields__ if name not in ("sums", "distances"))
"""Names of the numbers of an `Agreement`, in order."""


def compare_masks(
    *,
    prediction: Mask,
    reference: Mask,
    spacing: Sequence[float],
    tolerance_mm: float = TOLERANCE_MM,
    slice_axis: int = 2,
) -> Agreement:
    """Compare one mask with a reference.

    Args:
        prediction: Mask with axes (i, j, k), bool.
        reference: Mask of the same shape.
        spacing: Size of a voxel along i, j, k in mm. The axes must be perpendicular; how they lie in the patient does
            not matter, so oblique images need nothing more.
        tolerance_mm: For surface Dice and added path length.
        slice_axis: Axis that runs from slice to slice, for the added path length.

    Raises:
        ValueError: if the masks differ in shape or are not three-dimensional, or a spacing is not positive.
    """
    prediction, reference = np.asarray(prediction, bool), np.asarray(reference, bool)
    size = np.array(spacing, float)
    if prediction.shape != reference.shape or prediction.ndim != 3:
        msg = f"two masks of one shape with three axes are needed, not {prediction.shape} and {reference.shape}."
        raise ValueError(msg)
    if size.shape != (3,) or not (np.isfinite(size) & (size > 0)).all():
        msg = f"spacing must be three positive numbers of millimetres, not {list(spacing)}."
        raise ValueError(msg)
    step: Spacing = (float(size[0]), float(size[1]), float(size[2]))
    box = _box(prediction | reference)
    prediction, reference = prediction[box], reference[box]
    voxel_ml = math.prod(step) / 1000
    volumes = {
        "predicted_ml": int(prediction.sum()) * voxel_ml,
        "reference_ml": int(reference.sum()) * voxel_ml,
        "common_ml": int((prediction & reference).sum()) * voxel_ml,
    }
    hd95 = centroids = math.nan
    distances = None
    if prediction.any() and reference.any():
        both = surface_distances(prediction, reference, step)
        area = sum(float(one.sizes.sum()) for one in both)
        within = sum(one.size_within(tolerance_mm) for one in both)
        sums = Sums(**volumes, surface_mm2=area, surface_within_mm2=within, measured_mm2=area,
                    distance_mm3=sum(one.integral for one in both))  # fmt: skip
        hd95 = max(one.percentile(95) for one in both)
        distances = (Distances.pooled(both[:1]), Distances.pooled(both[1:]))
        centroids = float(np.linalg.norm((_centroid(prediction) - _centroid(reference)) * size))
    elif prediction.any() or reference.any():
        sums = Sums(**volumes, surface_mm2=surface_area(prediction | reference, step))
    else:
        sums, hd95, centroids = Sums(), 0.0, 0.0
    added = outline_length_beyond(reference, prediction, step, tolerance_mm=tolerance_mm, slice_axis=slice_axis)
    return Agreement(
        dice=sums.dice,
        iou=sums.iou,
        surface_dice=sums.surface_dice,
        hd95_mm=hd95,
        mean_surface_distance_mm=sums.mean_surface_distance_mm,
        added_path_length_mm=added,
        predicted_ml=sums.predicted_ml,
        reference_ml=sums.reference_ml,
        volume_difference_ml=sums.predicted_ml - sums.reference_ml,
        centroid_distance_mm=centroids,
        sums=sums,
        distances=distances,
    )


def pooled_hd95_mm(agreements: Sequence[Agreement]) -> float:
    """HD95 of several cases as if all were one patient, in millimetres.

    A percentile cannot be had from the percentiles of the cases: the distances of all surface elements of all cases are
    put together, by area, for each direction on its own; the result is the larger of the two distances within which
    95 % lie. This is the definition of `Agreement.hd95_mm` (Huttenlocher et al. 1993, in the form of Nikolov et al.
    2021) on the union of the surfaces. So large cases count more than small ones, other than in a mean over cases.

    Cases in which either mask is empty have no distances and are left out, as from the pooled mean surface distance.

    Returns:
        nan where no case has distances; 0 where in all both masks are empty.
    """
    found = [one.distances for one in agreements if one.distances is not None]
    if not found:
        return 0.0 if all(one.hd95_mm == 0 for one in agreements) else math.nan
    return max(Distances.pooled([pair[direction] for pair in found]).percentile(95) for direction in (0, 1))


def dice(prediction: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_]) -> float:
    """Dice similarity coefficient 2|A n B| / (|A| + |B|) (Dice 1945; Zijdenbos et al. 1994).

    Args:
        prediction: Mask of any shape.
        reference: Mask of the same shape.

    Returns:
        0 to 1; 1 where both are empty, 0 where only one is.
    """
    total = int(prediction.sum()) + int(reference.sum())
    if total == 0:
        return 1.0
    return 2 * int(np.logical_and(prediction, reference).sum()) / total


def dice_per_structure(
    prediction: npt.NDArray, reference: npt.NDArray, structures: Mapping[int, str]
) -> dict[str, float]:
    """Dice of each structure of two label maps.

    Args:
        prediction: Label map.
        reference: Label map of the same shape.
        structures: Names by label value.
    """
    return {name: dice(prediction == value, reference == value) for value, name in structures.items()}


def _box(mask: Mask) -> tuple[slice, ...]:
    """Smallest box around a mask; where it is empty, one voxel."""
    box = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(int(there[0]), int(there[-1]) + 1) if len(there) else slice(0, 1))
    return tuple(box)


def _centroid(mask: Mask) -> npt.NDArray[np.float64]:
    """Center of mass in voxels."""
    counts = (mask.sum(axis=(1, 2)), mask.sum(axis=(0, 2)), mask.sum(axis=(0, 1)))
    return np.array([float(count @ np.arange(len(count))) / count.sum() for count in counts])
