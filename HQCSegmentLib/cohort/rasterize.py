"""From contours to voxels: polygons filled at sub-voxel precision, slices between drawn ones filled in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.imaging.geometry import FloatArray

Mask = npt.NDArray[np.bool_]
Shape = tuple[int, int, int]

MOST_SKIPPED = 1.5
"""Slices between two drawn ones are filled in up to this many times the least distance of drawn slices.

Where more are left out, the structure has two parts.
"""


@dataclass(frozen=True, eq=False)
class Box:
    """Voxels of one structure in the smallest box around it, so that twenty structures do not fill the memory.

    Attributes:
        start: Index (i, j, k) of the box's first voxel in the image.
        mask: Axes (i, j, k); i runs fastest in memory, as in images read from files.
    """

    start: Shape
    mask: Mask

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Where the box is in an array (i, j, k) of the whole image."""
        i, j, k = (slice(begin, begin + size) for begin, size in zip(self.start, self.mask.shape, strict=True))
        return i, j, k

    def whole(self, shape: Shape) -> Mask:
        """Mask of the whole image, (i, j, k)."""
        mask = empty_volume(shape, np.bool_)
        mask[self.slices] = self.mask
        return mask


def empty_volume(shape: Shape, dtype: npt.DTypeLike) -> npt.NDArray:
    """Zeros with axes (i, j, k), of which i runs fastest in memory: a slice is one piece, as in image files."""
    return np.zeros(shape[::-1], dtype).transpose(2, 1, 0)


def fill_polygons(polygons: Iterable[FloatArray], shape: tuple[int, int]) -> Mask:
    """Voxels of one slice whose centres lie inside polygons, by the even-odd rule over all of them together.

    Args:
        polygons: Vertices in voxel indices (i, j), each of shape (points, 2); the last joins the first.
        shape: Number of voxels along i and j.

    Returns:
        Mask with axes (i, j).
    """
    listed = list(polygons)
    box = fill_slices(listed, [0] * len(listed), (*shape, 1))
    return box.whole((*shape, 1))[:, :, 0]


def fill_slices(polygons: Sequence[FloatArray], slices: Sequence[int], shape: Shape) -> Box:
    """Voxels whose centres lie inside polygons, slice by slice, by the even-odd rule over all polygons of a slice.

    Each edge is crossed only with the columns that it spans, and all edges of a structure are taken at once;
    `skimage.draw.polygon` tests every pixel against every edge, which takes seconds for a body outline. They differ
    only for centres exactly on an edge.

    Args:
        polygons: Vertices in voxel indices (i, j), each of shape (points, 2); the last joins the first.
        slices: Index k of the slice that each lies on.
        shape: Number of voxels along i, j and k.

    Returns:
        The voxels in a box that just holds the polygons.
    """
    if not len(polygons):
        return Box((0, 0, 0), np.zeros((0, 0, 0), bool))
    lengths = np.array([len(polygon) for polygon in polygons])
    points = np.concatenate(polygons)
    low_corner = np.clip(np.ceil(points.min(axis=0)), 0, shape[:2]).astype(int)
    high_corner = np.clip(np.floor(points.max(axis=0)) + 1, low_corner, shape[:2]).astype(int)
    k_start = int(min(slices))
    # i fastest in memory: the running sum along j then adds whole rows.
    size = (int(max(slices)) + 1 - k_start, *(high_corner - low_corner)[::-1].tolist())
    start = (*low_corner.tolist(), k_start)
    if 0 in size:
        return Box(start, np.zeros(size, bool).transpose(2, 1, 0))

    ends = np.cumsum(lengths)
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = ends - lengths
    begin, end = points, points[following]
    # Each edge is taken from its lower end, so that both edges of a keyhole cross at the very same place.
    upward = (begin[:, 0] <= end[:, 0])[:, None]
    low, high = np.where(upward, begin, end), np.where(upward, end, begin)
    first, last = (np.clip(np.ceil(one[:, 0]), low_corner[0], high_corner[0]).astype(int) for one in (low, high))
    edge = np.repeat(np.arange(len(points)), last - first)
    columns_before = np.cumsum(last - first) - (last - first)
    column = np.arange(len(edge)) - columns_before[edge] + first[edge]
    slope = (high[edge, 1] - low[edge, 1]) / (high[edge, 0] - low[edge, 0])
    crossing = np.ceil(low[edge, 1] + slope * (column - low[edge, 0]))
    # crossed[k, j, i] counts the edges between the centres j - 1 and j of column i; counts may wrap around at 256,
    # which leaves them even or odd.
    row = np.clip(crossing, low_corner[1], high_corner[1]).astype(int) - low_corner[1]
    plane = np.repeat(np.asarray(slices) - k_start, lengths)[edge]
    kept = row < size[1]
    place = (plane[kept] * size[1] + row[kept]) * size[2] + column[kept] - low_corner[0]
    crossed = np.zeros(size, np.uint8)
    np.add.at(crossed.reshape(-1), place, np.uint8(1))
    crossed &= 1
    for j in range(1, size[1]):
        crossed[:, j] ^= crossed[:, j - 1]
    return Box(start, crossed.view(np.bool_).transpose(2, 1, 0))


def skipped_slices(drawn: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of drawn slices with slices between them that were left out on purpose.

    A structure of which no two neighbouring slices are drawn, but at least three at about the same distance, was drawn
    on every second or third slice (or on a coarser series in the same frame of reference). A gap in a structure that
    is otherwise drawn on every slice is a gap.

    Args:
        drawn: Indices k of the slices with contours, ascending, each once.
    """
    gaps = np.diff(drawn)
    if len(drawn) < 3 or gaps.min() < 2:
        return []
    regular = np.flatnonzero(gaps <= MOST_SKIPPED * gaps.min()).tolist()
    return [(drawn[n], drawn[n + 1]) for n in regular] if len(regular) > 1 else []


def fill_between(box: Box, pairs: Iterable[tuple[int, int]], *, spacing: tuple[float, float]) -> None:
    """Fill slices between drawn ones in place, by linear interpolation of the distance to the outline.

    Args:
        box: Voxels of the drawn slices.
        pairs: Indices k of drawn slices, as `skipped_slices` gives them.
        spacing: Of voxels along i and j, in millimetres.
    """
    for low, high in pairs:
        below, above = (_distance_inside(box.mask[:, :, k - box.start[2]], spacing) for k in (low, high))
        for k in range(low + 1, high):
            part = (k - low) / (high - low)
            box.mask[:, :, k - box.start[2]] = (1 - part) * below + part * above > 0


def _distance_inside(mask: Mask, spacing: tuple[float, float]) -> FloatArray:
    """Distance to the outline in millimetres, negative outside."""
    from scipy.ndimage import distance_transform_edt

    padded = np.pad(mask, 1)
    half = min(spacing) / 2
    inside, outside = (distance_transform_edt(one, sampling=spacing) for one in (padded, ~padded))
    signed = np.where(padded, inside - half, half - outside)
    return np.asarray(signed[1:-1, 1:-1], np.float64)
