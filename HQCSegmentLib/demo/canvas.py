"""A volume to paint simple bodies on, one over the other, with anti-aliased edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.floating]
"""One number per voxel: a coordinate, a distance or HU."""

EDGE_MM = 4.5
"""Width over which an edge goes from nothing to full: about a voxel."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """HU and labels of a volume or of a part of it (then they are views).

    Attributes:
        hu, labels: What has been painted so far; axes (i, j, k).
        x, y, z: LPS millimetres of every voxel in the patient's own, undeformed anatomy.
    """

    hu: Field
    labels: npt.NDArray[np.uint8]
    x: Field
    y: Field
    z: Field

    def near(self, center: Sequence[float], reach: Sequence[float]) -> Canvas:
        """Part that holds the box `center` +- `reach` (millimetres): painting there is faster."""
        # Every fourth voxel is enough to find the box, with a margin of as many.
        step = 4
        inside = np.ones(self.x[::step, ::step, ::step].shape, bool)
        for position, middle, distance in zip((self.x, self.y, self.z), center, reach, strict=True):
            inside &= np.abs(position[::step, ::step, ::step] - middle) <= distance + EDGE_MM
        box = []
        for axis in range(3):
            along = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
            first, last = (along[0], along[-1]) if len(along) else (0, -2)
            box.append(slice(max(0, (first - 1) * step), max(0, (last + 2) * step)))
        i, j, k = box
        return Canvas(self.hu[i, j, k], self.labels[i, j, k], self.x[i, j, k], self.y[i, j, k], self.z[i, j, k])

    def paint(self, distance: Field, hu: float | Field, label: int = 0) -> None:
        """Cover the inside (`distance` < 0, millimetres); a voxel at least half inside gets `label`."""
        coverage = np.clip(0.5 - distance / EDGE_MM, 0, 1)
        self.hu[...] += coverage * (hu - self.hu)
        self.labels[coverage >= 0.5] = label

    def ellipsoid(self, center: Sequence[float], radii: Sequence[float]) -> Field:
        """Distance to an ellipsoid in millimetres, negative inside; first-order accurate near the surface."""
        return ellipsoid(self.x, self.y, self.z, center, radii)

    def cylinder(self, center: Sequence[float | Field], radii: Sequence[float]) -> Field:
        """Distance to an elliptic cylinder along z in millimetres; the center may vary with z."""
        px, py = self.x - center[0], self.y - center[1]
        rx, ry = radii
        level = np.sqrt((px / rx) ** 2 + (py / ry) ** 2)
        slope = np.sqrt((px / rx**2) ** 2 + (py / ry**2) ** 2)
        return level * (level - 1) / np.maximum(slope, 1e-6)


def ellipsoid(x: Field, y: Field, z: Field, center: Sequence[float], radii: Sequence[float]) -> Field:
    """As `Canvas.ellipsoid`, in coordinates of one's own (tilted bodies)."""
    px, py, pz = x - center[0], y - center[1], z - center[2]
    rx, ry, rz = radii
    level = np.sqrt((px / rx) ** 2 + (py / ry) ** 2 + (pz / rz) ** 2)
    slope = np.sqrt((px / rx**2) ** 2 + (py / ry**2) ** 2 + (pz / rz**2) ** 2)
    return level * (level - 1) / np.maximum(slope, 1e-6)


def blend(first: Field, second: Field, width: float) -> Field:
    """Union of two bodies with the crease between them filled over `width` millimetres."""
    mix = np.clip(0.5 + 0.5 * (second - first) / width, 0, 1)
    return second * (1 - mix) + first * mix - width * mix * (1 - mix)
