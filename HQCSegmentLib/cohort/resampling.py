"""Images and label maps on another grid over the same box.

Both grids have the same directions and cover the same box, edge of voxel to edge of voxel, so resampling works along
one axis after the other. A general resampler (`SimpleITK.Resample`) computes every place of every voxel anew, and for
label maps every structure for itself; the result here is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.threads import share

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Shape = tuple[int, int, int]

TRUNCATE = 4.0
"""Where the smoothing kernel ends, in standard deviations; as `scipy.ndimage.gaussian_filter1d` has it."""


def resample_image(array: npt.NDArray, shape: Shape) -> npt.NDArray[np.float32]:
    """Interpolate linearly on a grid of `shape` voxels over the same box.

    Along an axis that becomes coarser, the image is smoothed first by a Gaussian with standard deviation
    0.5 * sqrt(ratio**2 - 1) source voxels: a voxel of the coarser grid averages what it covers; without this fine
    texture would alias.

    Args:
        array: Three axes, any number type.
        shape: Voxels along each axis of the result.

    Returns:
        Three axes in the same order; in memory they may have another.
    """
    # Slabs are whole pieces of memory where the slowest axis comes first, whatever the image's orientation.
    order, back = _slowest_first(array)
    source = array.transpose(order)
    across, *in_plane = (_matrix(source.shape[axis], shape[order[axis]]) for axis in range(3))
    result = np.empty([shape[axis] for axis in order], np.float32)

    def fill(targets: range) -> None:
        # Of the source only the few slabs that a target is made of are kept, in pieces that fit the processor's cache.
        made: dict[int, npt.NDArray[np.float32]] = {}
        for target in targets:
            weights = {target: np.float32(1)} if across is None else _row(across, target)
            made = {index: made[index] for index in weights if index in made}
            for index in weights.keys() - made.keys():
                made[index] = _resample_slab(source[index], *in_plane)
            _weighted_sum([made[index] for index in weights], [*weights.values()], out=result[target])

    share(fill, len(result))
    return result.transpose(back)


def resample_label(array: npt.NDArray[np.uint16], shape: Shape) -> npt.NDArray[np.uint16]:
    """Resample a label map: the value with the largest linearly interpolated share wins, of equals the smallest.

    Args:
        array: Label map with three axes.
        shape: Voxels along each axis of the result.

    Returns:
        Three axes in the same order; in memory they may have another.
    """
    order, back = _slowest_first(array)
    # The type's largest value is no label: it marks places that have to be weighed.
    largest = int(array.max(initial=0))
    narrow = next(kind for kind in (np.uint8, np.uint16, np.uint32) if largest < np.iinfo(kind).max)
    source = array.transpose(order)
    places = [places_of(source.shape[axis], shape[order[axis]]) for axis in range(3)]
    result = np.empty([shape[axis] for axis in order], np.uint16)

    def fill(targets: range) -> None:
        made: dict[int, npt.NDArray] = {}
        for target in targets:
            low, high, weight = (part[target].item() for part in places[0])
            made = {index: made[index] for index in (low, high) if index in made}
            for index in {low, high} - made.keys():
                made[index] = np.ascontiguousarray(source[index], narrow)
            result[target] = _label_slab(made[low], made[high], weight, places[1], places[2])

    share(fill, len(result))
    return result.transpose(back)


Places = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]
"""Of each target voxel along one axis: the source voxels below and above it, and the weight of the one above."""


def _slowest_first(array: npt.NDArray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Order of axes from the slowest to the fastest in memory, and the order that undoes it."""
    order = sorted(range(3), key=lambda axis: -abs(array.strides[axis]))
    return tuple(order), tuple(int(axis) for axis in np.argsort(order))


def places_of(source: int, target: int) -> Places:
    """Places of `target` voxels among `source` voxels over the same length; the outermost continue outwards."""
    ratio = source / target
    # Rounded, so that halfway is exactly halfway, and of two equal shares none is larger by its last digit.
    places = np.clip(np.round((np.arange(target) + 0.5) * ratio - 0.5, 9), 0, source - 1)
    low = np.floor(places).astype(np.int64)
    return low, np.minimum(low + 1, source - 1), places - low


def _matrix(source: int, target: int) -> csr_array | None:
    """Smoothing and linear interpolation along one axis, shape (target, source); None where nothing changes."""
    from scipy.sparse import csr_array

    if source == target:
        return None
    low, high, weight = places_of(source, target)
    rows = np.arange(target)
    interpolate = csr_array(
        (np.concatenate([1 - weight, weight]), (np.concatenate([rows, rows]), np.concatenate([low, high]))),
        shape=(target, source),
    )
    ratio = source / target
    if ratio > 1:
        sigma = 0.5 * np.sqrt(ratio**2 - 1)
        reach = int(TRUNCATE * sigma + 0.5)
        steps = np.arange(-reach, reach + 1)
        kernel = np.exp(-0.5 * (steps / sigma) ** 2)
        kernel /= kernel.sum()
        columns = np.clip(np.arange(source)[:, None] + steps, 0, source - 1)
        every = np.repeat(np.arange(source), len(steps))
        smooth = csr_array((np.tile(kernel, source), (every, columns.ravel())), shape=(source, source))
        interpolate = interpolate @ smooth
    return csr_array(interpolate, dtype=np.float32)


def _row(matrix: csr_array, number: int) -> dict[int, np.float32]:
    """Weights of one row by column."""
    part = slice(matrix.indptr[number], matrix.indptr[number + 1])
    return dict(zip(matrix.indices[part].tolist(), matrix.data[part], strict=True))


def _resample_slab(slab: npt.NDArray, rows: csr_array | None, columns: csr_array | None) -> npt.NDArray[np.float32]:
    """Apply a matrix along each of two axes; the second axis comes first in the result."""
    along_rows = _along_first(rows, np.ascontiguousarray(slab, np.float32))
    return _along_first(columns, np.ascontiguousarray(along_rows.T))


def _along_first(matrix: csr_array | None, array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Apply a matrix along the first of two axes."""
    return array if matrix is None else np.asarray(matrix @ array)


def _weighted_sum(
    planes: Sequence[npt.NDArray[np.float32]], weights: Sequence[np.float32], *, out: npt.NDArray[np.float32]
) -> None:
    """Write the sum of weighted planes, transposed."""
    total = planes[0] if weights == [1] else planes[0] * weights[0]
    for plane, weight in zip(planes[1:], weights[1:], strict=True):
        total += plane * weight
    out[...] = total.T


def _label_slab(below: npt.NDArray, above: npt.NDArray, weight: float, rows: Places, columns: Places) -> npt.NDArray:
    """Values of one slab of target voxels between two slabs of source voxels."""
    mark = np.iinfo(below.dtype).max
    least, most = np.minimum(below, above), np.maximum(below, above)
    for axis in range(2):
        first, second = (least[:-1], least[1:]) if axis == 0 else (least[:, :-1], least[:, 1:])
        np.minimum(first, second, out=first)
        first, second = (most[:-1], most[1:]) if axis == 0 else (most[:, :-1], most[:, 1:])
        np.maximum(first, second, out=first)
    # Away from outlines all eight neighbours have the same value, and there is nothing to weigh.
    least[least != most] = mark
    slab = least.take(rows[0], 0).take(columns[0], 1)
    row, column = np.divmod(np.flatnonzero(slab == mark), slab.shape[1])
    if len(row):
        high_row, high_column = rows[2][row], columns[2][column]
        in_plane = [i * j for i in (1 - high_row, high_row) for j in (1 - high_column, high_column)]
        slab[row, column] = _largest_share(
            np.stack([one[i[row], j[column]] for one in (below, above) for i in rows[:2] for j in columns[:2]]),
            np.stack([w * part for w in (1 - weight, weight) for part in in_plane]),
        )
    return slab


def _largest_share(values: npt.NDArray, weights: npt.NDArray[np.float64]) -> npt.NDArray:
    """Of eight neighbours, shape (8, places), the value whose weights sum up to most; of equals the smallest."""
    best = values.min(axis=0)
    most = (weights * (values == best)).sum(axis=0)
    other = values.max(axis=0)
    share = (weights * (values == other)).sum(axis=0)
    # With two values that is all; where a third has a part, every neighbour's value is weighed.
    several = np.flatnonzero(((values != best) & (values != other)).any(axis=0))
    best, most = np.where(share > most, other, best), np.maximum(share, most)
    if len(several):
        candidates, parts = np.sort(values[:, several], axis=0), weights[:, several]
        shares = np.stack([(parts * (values[:, several] == one)).sum(axis=0) for one in candidates])
        # The first of equal shares belongs to the smallest value.
        best[several] = np.take_along_axis(candidates, shares.argmax(axis=0)[None], axis=0)[0]
    return best
