"""Outlines of binary slices: traced at sub-voxel precision, with holes joined as keyholes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.imaging.geometry import FloatArray

Rings = list[FloatArray]
"""Of one connected part: its outer ring, then the rings of its holes."""

FROM_CENTRE = 0.005
"""Least distance of a traced point from the centre of a voxel, in voxels: by rounding, one on it would be in or out."""

_SIDES = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])
"""Steps (i, j) from a voxel to its neighbours, in turn: the outline past one side runs in the direction of the next."""


def outlines(mask: npt.NDArray[np.bool_]) -> list[FloatArray]:
    """Trace closed polygons around the parts of a binary slice, one for each part.

    The outline runs halfway between the centres of inner and outer voxels, so filling it by voxel centres
    gives the mask back. A part is connected along voxel edges, not across corners. Holes are joined to the
    outline by a keyhole, a cut of no width (DICOM PS3.3 C.8.8.6.3), which planning systems read alike.

    Args:
        mask: Slice with axes (i, j).

    Returns:
        Vertices in voxel indices (i, j), each of shape (points, 2), the first not repeated at the end.
    """
    return [keyhole(rings) for rings in trace_mask(mask)]


def trace_mask(mask: npt.NDArray[np.bool_]) -> list[Rings]:
    """Rings of every connected part of a binary slice, halfway between the centres of inner and outer voxels.

    A part is connected along voxel edges, not across corners. Filling all rings by the even-odd rule gives the mask.

    Args:
        mask: Slice with axes (i, j).

    Returns:
        Of each part the outer ring first, then its holes: vertices in voxel indices, shape (points, 2), the first not
        repeated at the end.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return []
    corner = np.array([rows[0], columns[0]], float)
    parts = _rings(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    return [[ring + corner for ring in rings] for rings in parts]


def trace_probability(probability: npt.NDArray[np.floating], *, level: float = 0.5) -> list[Rings]:
    """Rings around where a slice of probabilities exceeds a level, interpolated between the centres of voxels.

    Filling them by voxel centres gives the voxels above the level back: no point comes nearer to a centre than
    `FROM_CENTRE`. At the border of the image a ring runs along the edge of the voxels.

    Args:
        probability: Slice with axes (i, j): probabilities, or other numbers that are higher inside.
        level: Inside is what is above it.

    Returns:
        As `trace_mask`.
    """
    from skimage.measure import find_contours, points_in_poly

    height = np.pad(np.asarray(probability, np.float64) - level, 1, mode="edge")
    least = np.finfo(np.float64).tiny + 1e-9 * np.abs(height).max()
    height = np.where(height > 0, np.maximum(height, least), np.minimum(height, -least))
    # The voxels beyond the border are as far outside as those on it are inside.
    for border in (height[0], height[-1], height[:, 0], height[:, -1]):
        border[...] = -np.abs(border)
    found = find_contours(height, 0.0, fully_connected="low")
    rings = [_off_centres(ring[:-1] - 1) for ring in found if len(ring) > 3]
    areas = [_area(ring) for ring in rings]
    # Walks have the higher values on one side, so holes run the other way round.
    outer = sorted((place for place, area in enumerate(areas) if area < 0), key=lambda place: abs(areas[place]))
    parts = {place: [rings[place]] for place in outer}
    for place, area in enumerate(areas):
        if area > 0:
            owner = next((one for one in outer if points_in_poly(rings[place][:1], rings[one])[0]), None)
            if owner is not None:
                parts[owner].append(rings[place])
    return list(parts.values())


def _off_centres(ring: FloatArray) -> FloatArray:
    """Vertices, each between two voxels, moved away from their centres where they are too near."""
    voxel = np.floor(ring)
    part = ring - voxel
    return voxel + np.where(part > 0, part.clip(FROM_CENTRE, 1 - FROM_CENTRE), 0)


def _area(ring: FloatArray) -> float:
    """Area of a polygon, negative where it runs clockwise in (i, j)."""
    following = np.roll(ring, -1, axis=0)
    return float(ring[:, 0] @ following[:, 1] - ring[:, 1] @ following[:, 0]) / 2


def _rings(mask: npt.NDArray[np.bool_]) -> list[Rings]:
    """Of every connected part its outer ring and the rings of its holes, the outer ring first.

    A ring is a walk over the places between an inner voxel and an outer neighbour. From each place there is one
    way on: around the voxel, straight ahead, or to the voxel that stands in the way.
    """
    from scipy.ndimage import label

    # One voxel of padding closes the rings of parts that touch the border, and keeps neighbours in the array.
    padded = np.pad(mask, 1)
    inside, width = padded.ravel(), padded.shape[1]
    steps = _SIDES @ (width, 1)
    voxel, side = np.nonzero(np.stack([inside & ~np.roll(inside, -step) for step in steps], axis=1))

    ahead = voxel + steps[(side + 1) % 4]
    across = ahead + steps[side]
    around, blocked = ~inside[ahead], inside[ahead] & inside[across]
    next_voxel = np.select([around, blocked], [voxel, across], ahead)
    next_side = (side + np.select([around, blocked], [1, -1], 0)) % 4
    numbers = np.zeros((len(inside), 4), np.int64)
    numbers[voxel, side] = np.arange(len(voxel))
    following = numbers[next_voxel, next_side]

    places = np.column_stack([voxel // width, voxel % width]) - 1 + _SIDES[side] / 2
    order, lengths = _walks(following.tolist())
    # Vertices are where the ring turns; places on straight lines say nothing.
    direction = places[following] - places
    turns = np.empty(len(voxel), bool)
    turns[following] = (direction != direction[following]).any(axis=1)
    starts = np.cumsum(lengths) - lengths
    ends = np.cumsum(np.add.reduceat(turns[order].astype(int), starts))
    rings = np.split(places[order][turns[order]], ends[:-1])

    parts: dict[int, Rings] = {}
    # Walks begin in the order of the voxels, and the first voxel of a part lies on its outer ring.
    for part, ring in zip(label(padded)[0].ravel()[voxel[order[starts]]].tolist(), rings, strict=True):
        parts.setdefault(part, []).append(ring)
    return list(parts.values())


def _walks(following: Sequence[int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All places in the order in which closed walks pass them, and the length of each walk.

    Args:
        following: For every place the next one; each is the next of exactly one.
    """
    order: list[int] = []
    lengths = []
    seen = bytearray(len(following))
    for start in range(len(following)):
        if seen[start]:
            continue
        begun, place = len(order), start
        while not seen[place]:
            seen[place] = True
            order.append(place)
            place = following[place]
        lengths.append(len(order) - begun)
    return np.array(order, np.int64), np.array(lengths, np.int64)


def keyhole(rings: Sequence[FloatArray]) -> FloatArray:
    """Join an outer ring and the holes in it to one polygon, by the shortest cuts between their vertices.

    Args:
        rings: The outer one first, each (points, 2), not closed by a repeated point.

    Returns:
        (points, 2); the two vertices of a cut are there twice.
    """
    if len(rings) == 1:
        return rings[0]
    points = np.concatenate(rings)
    ends = np.cumsum([len(ring) for ring in rings])
    # As a chain: the vertex that follows each one. A cut is walked twice, so both its vertices are doubled.
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = ends - [len(ring) for ring in rings]
    chain, vertices = following.tolist(), list(range(len(points)))
    for one, other in _cuts(points, np.repeat(np.arange(len(rings)), np.diff(ends, prepend=0))):
        chain += [chain[one], chain[other]]
        vertices += [one, other]
        chain[one], chain[other] = len(chain) - 1, len(chain) - 2
    order, _ = _walks(chain)
    return points[np.array(vertices)[order]]


def _cuts(points: FloatArray, ring: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Pairs of vertices that join all rings to one with the least length in sum (a minimum spanning tree).

    The two vertices of such a pair are neighbours in the Delaunay triangulation: if another vertex lay between
    them, it would be nearer to both.

    Args:
        points: Vertices of all rings, shape (points, 2).
        ring: Number of the ring that each belongs to, from 0.
    """
    from scipy.spatial import Delaunay

    triangles = Delaunay(points).simplices
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = pairs[ring[pairs[:, 0]] != ring[pairs[:, 1]]]
    lengths = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    pairs = pairs[np.argsort(lengths, kind="stable")]
    joined_to = list(range(int(ring.max()) + 1))

    def root(one: int) -> int:
        while joined_to[one] != one:
            joined_to[one] = one = joined_to[joined_to[one]]
        return one

    for pair, rings in zip(pairs.tolist(), ring[pairs].tolist(), strict=True):
        one, other = root(rings[0]), root(rings[1])
        if one != other:
            joined_to[one] = other
            yield pair[0], pair[1]
