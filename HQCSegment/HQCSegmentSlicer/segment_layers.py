"""Segments on the grid of a volume, as arrays that have left the scene.

Label maps have axes (i, j, k), of which i runs fastest in memory, as in Slicer and in image files: every operation on
two arrays of different order takes ten times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.imaging import Grid
from HQCSegmentLib.imaging.geometry import GRID_TOLERANCE_VOXELS

LabelArray = npt.NDArray[np.unsignedinteger]


@dataclass(frozen=True, eq=False)
class SegmentLayers:
    """All segments of a node.

    Attributes:
        names: Of the segments, in order; the nth, from 1, has the value n.
        labels: Label maps, as few as were found, in none of which two segments overlap.
        places: Index of the label map that holds each segment.
    """

    names: tuple[str, ...]
    labels: tuple[LabelArray, ...]
    places: tuple[int, ...]

    def place(self, name: str) -> int:
        """Index of the label map that holds a segment."""
        return self.places[self.names.index(name)]

    def mask(self, name: str) -> npt.NDArray[np.bool_]:
        """Voxels of one segment."""
        return self.labels[self.place(name)] == self.names.index(name) + 1

    def with_values(self, place: int, values: Mapping[str, int]) -> LabelArray:
        """One of the label maps with other values by name; segments that are not listed are left out."""
        table = np.zeros(len(self.names) + 1, np.min_scalar_type(max(values.values(), default=1)))
        table[1:] = [values.get(name, 0) for name in self.names]
        return in_memory_order(table, self.labels[place])


def in_memory_order(table: npt.NDArray, labels: npt.NDArray) -> npt.NDArray:
    """`table[labels]` with the memory order of `labels`, which numpy itself would not keep."""
    return table[labels.transpose(2, 1, 0)].transpose(2, 1, 0)


def empty_layer(grid: Grid, segments: int) -> LabelArray:
    """A label map without voxels for so many segments."""
    return np.zeros(grid.shape[::-1], np.min_scalar_type(max(1, segments))).transpose(2, 1, 0)


@dataclass(frozen=True, eq=False)
class Part:
    """Label map somewhere on a grid; its first voxel is voxel `start` of the grid."""

    start: tuple[int, ...]
    labels: LabelArray

    def add_to(self, layers: list[LabelArray], grid: Grid, segments: int) -> int:
        """Put it into the first layer where nothing is in the way, else into a new one; returns the layer's index."""
        place = tuple(slice(at, at + size) for at, size in zip(self.start, self.labels.shape, strict=True))
        drawn = self.labels != 0
        free = (number for number, layer in enumerate(layers) if not (drawn & (layer[place] != 0)).any())
        index = next(free, len(layers))
        if index == len(layers):
            layers.append(empty_layer(grid, segments))
        np.copyto(layers[index][place], self.labels, where=drawn, casting="unsafe")
        return index


def nothing(grid: Grid) -> Part:
    """A segment without voxels."""
    return Part((0, 0, 0), empty_layer(Grid((0, 0, 0), grid.affine), 1))


def placed(labels: npt.NDArray, affine: npt.NDArray[np.float64], grid: Grid) -> Part:
    """A label map on the voxels of a grid: moved where it lies on them, else resampled to the nearest voxel.

    Args:
        labels: Axes (i, j, k).
        affine: 4x4, their index to RAS millimetres; any linear one, sheared ones too.
        grid: Where they are wanted.
    """
    to_grid = np.linalg.inv(grid.affine) @ affine
    shift = np.rint(to_grid[:3, 3]).astype(int)
    ends = np.array(np.meshgrid(*((0, size - 1) for size in labels.shape))).reshape(3, -1)
    apart = to_grid[:3, :3] @ ends + to_grid[:3, 3:] - (ends + shift[:, None])
    if np.abs(apart).max() > GRID_TOLERANCE_VOXELS:
        return Part((0, 0, 0), _resampled(labels, np.linalg.inv(to_grid), grid))
    first = np.clip(shift, 0, grid.shape)
    last = np.clip(shift + labels.shape, first, grid.shape)
    inside = tuple(slice(a - at, b - at) for a, b, at in zip(first, last, shift, strict=True))
    return Part(tuple(first.tolist()), labels[inside])


def _resampled(labels: npt.NDArray, index_from_grid: npt.NDArray[np.float64], grid: Grid) -> npt.NDArray:
    """Nearest neighbours, 0 outside; both grids are given to SimpleITK by index, since it knows no sheared ones."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(labels.transpose(2, 1, 0)))
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(index_from_grid[:3, :3].ravel().tolist())
    transform.SetTranslation(index_from_grid[:3, 3].tolist())
    size = [int(length) for length in grid.shape]
    found = sitk.Resample(
        image,
        size,
        transform,
        sitk.sitkNearestNeighbor,
        (0.0, 0.0, 0.0),
        (1.0, 1.0, 1.0),
        np.eye(3).ravel().tolist(),
        0,
    )
    return sitk.GetArrayFromImage(found).transpose(2, 1, 0)
