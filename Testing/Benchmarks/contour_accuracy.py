"""How near contours come to the true shape: traced around voxels, and between them where the scores are equal.

    python Testing/Benchmarks/contour_accuracy.py

Balls of several sizes lie at twenty places each between the voxels. Scores are what a network without any error would
give on the grid that it works on: the distance to the surface, in units of `SOFTNESS_MM`. They go the way of `segment`
(`restore_planes`) to the image's grid, and are traced as `write_rtstruct` traces them. On every slice the area of the
contours is compared with that of the circle, and the distance of their points from it is measured. A real model is off
by much more than either; this is the part that tracing adds.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import find_objects

from HQCSegmentLib.cohort import Prepared, restore_planes
from HQCSegmentLib.imaging import Grid, Reorientation, Segmentation, Structure
from HQCSegmentLib.planning.contours import keyhole
from HQCSegmentLib.planning.rtstruct import traced_slices

SOFTNESS_MM = 0.5
PLACES = 20


@dataclass
class Found:
    """Sums over the slices of all balls."""

    area: float = 0.0
    true_area: float = 0.0
    area_off: float = 0.0
    distance: float = 0.0
    points: int = 0

    def add(self, segmentation: Segmentation, center: np.ndarray, radius: float) -> None:
        """Compare all slices of one ball."""
        spacing = np.array(segmentation.grid.spacing)
        areas = dict.fromkeys(range(segmentation.array.shape[2]), 0.0)
        for k, parts in traced_slices(segmentation, 1, find_objects(segmentation.array)[0]):
            for polygon in map(keyhole, parts):
                points = polygon * spacing[:2] - center[:2]
                following = np.roll(points, -1, axis=0)
                areas[k] += abs(float(points[:, 0] @ following[:, 1] - points[:, 1] @ following[:, 0])) / 2
                circle = np.sqrt(max(radius**2 - (k * spacing[2] - center[2]) ** 2, 0))
                self.distance += float(np.abs(np.hypot(*points.T) - circle).sum())
                self.points += len(points)
        for k, area in areas.items():
            true = np.pi * max(radius**2 - (k * spacing[2] - center[2]) ** 2, 0)
            self.area += area
            self.true_area += true
            self.area_off += abs(area - true)

    def __str__(self) -> str:
        volume = 100 * (self.area / self.true_area - 1)
        return (
            f"{volume:+6.2f} % {100 * self.area_off / self.true_area:6.2f} % {self.distance / self.points:6.3f} mm "
            f"{self.points / PLACES:6.0f}"
        )


def ball(
    radius: float, spacing: float, thickness: float, working: float, place: np.ndarray
) -> tuple[Segmentation, np.ndarray]:
    """Segmentation of a ball with leads, and its center in mm from the first voxel."""
    size = int(np.ceil(2 * (radius + 6) / spacing)), int(np.ceil(2 * (radius + 6) / thickness))
    grid = Grid((size[0], size[0], size[1]), np.diag([spacing, spacing, thickness, 1.0]))
    coarse = grid.resampled((working, working, thickness))
    center = (np.array(grid.shape) - 1) / 2 * grid.spacing + place * grid.spacing
    # Both grids cover the same box; the middle of the first voxel of the coarse one lies elsewhere.
    offset = (np.array(coarse.spacing) - grid.spacing) / 2
    voxels = np.stack(np.indices(coarse.shape), axis=-1) * coarse.spacing + offset - center
    scores = torch.zeros((2, *coarse.shape))
    scores[1] = torch.from_numpy((radius - np.linalg.norm(voxels, axis=-1)) / SOFTNESS_MM)
    prepared = Prepared(np.zeros((1, *coarse.shape), np.float32), coarse, grid, Reorientation.to_ras(grid.affine))
    leads = np.zeros(grid.shape, np.float16)
    planes = (scores[..., place] for place in range(coarse.shape[2]))
    labels = restore_planes(planes, prepared, axis=2, leads=leads)
    return Segmentation(labels, grid.affine, (Structure(value=1, name="Ball"),), leads=leads), center


def main() -> None:
    """Print the table."""
    print("                                 traced      volume  by slice  distance  points")
    for spacing, thickness, working in ((1, 3, 1), (1, 3, 1.5), (2, 3, 2), (1, 1, 1)):
        for radius in (4, 10, 25):
            found = {"label": Found(), "probability": Found()}
            for place in np.random.default_rng(0).random((PLACES, 3)):
                segmentation, center = ball(radius, spacing, thickness, working, place)
                found["probability"].add(segmentation, center, radius)
                found["label"].add(dataclasses.replace(segmentation, leads=None), center, radius)
            for kind, numbers in found.items():
                what = f"{spacing} x {thickness} mm, at {working} mm, radius {radius}"
                print(f"{what:<33}{kind:<12}{numbers}")


if __name__ == "__main__":
    main()
