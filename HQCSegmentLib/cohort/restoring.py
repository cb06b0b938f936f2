"""From scores on the prepared grid to a label map in the image's own geometry, one plane after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.preprocessing import Prepared
from HQCSegmentLib.cohort.resampling import Places, places_of
from HQCSegmentLib.errors import WorkError

if TYPE_CHECKING:
    from torch import Tensor

LabelMap = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

SCORES_AT_ONCE = 2**22
"""Numbers interpolated at a time: 16 MiB for each of the eight neighbours."""


def restore(scores: Tensor, prepared: Prepared) -> LabelMap:
    """Label map in the source geometry from the scores of a whole volume; see `restore_planes`.

    Args:
        scores: (structures + 1, R, A, S), index 0 background; logits or probabilities.
        prepared: What `prepare` gave for the image.
    """
    return restore_planes((scores[..., place] for place in range(scores.shape[-1])), prepared, axis=2)


def restore_planes(
    planes: Iterable[Tensor], prepared: Prepared, *, axis: int, leads: npt.NDArray[np.float16] | None = None
) -> LabelMap:
    """Label map in the source geometry; the structure with the highest linearly interpolated score wins.

    Where the eight neighbours of a voxel have the same winner, it wins between them too: linear interpolation weighs
    with numbers that are not negative. So scores are interpolated only along outlines, and neither time nor memory
    grow with the number of structures times the size of the image. Of equal scores the first structure's wins.

    Args:
        planes: Scores (structures + 1, first, second) on the prepared grid, across `axis`, in ascending order; the
            two other axes of R, A, S in order. A plane is no longer looked at when the one after the next is taken.
        prepared: What `prepare` gave for the image.
        axis: 0, 1 or 2 for R, A, S.
        leads: Array (i, j, k) of the source, to be filled with how far the winning score is ahead of the next one at
            every voxel. Along outlines it is exact; elsewhere the interpolated leads of the neighbours, which is the
            least that it can be.

    Returns:
        Index of the winning score, (i, j, k) of the source; uint8, or uint16 for more than 255 scores.

    Raises:
        WorkError: if there are fewer planes than the prepared grid has.
    """
    own = prepared.source.reoriented(prepared.reorientation).shape
    first, second = (_neighbours(prepared.grid.shape[one], own[one]) for one in range(3) if one != axis)
    below, above, weights = _neighbours(prepared.grid.shape[axis], own[axis])
    read = _scored(planes, with_leads=leads is not None)
    kept: dict[int, _Plane] = {}
    result: npt.NDArray | None = None
    target: npt.NDArray | None = None
    ahead = None if leads is None else np.moveaxis(prepared.reorientation.apply(leads), axis, 0)
    for place, (low, high, weight) in enumerate(zip(below, above, weights, strict=True)):
        while high not in kept:
            kept = {index: plane for index, plane in kept.items() if index >= low}
            number, plane = next(read, (None, None))
            if number is None or plane is None:
                msg = f"the scores end after {len(kept)} of {prepared.grid.shape[axis]} planes."
                raise WorkError(msg)
            kept[number] = plane
        if result is None or target is None:
            # As images come from files: i is the fastest axis in memory.
            result = np.empty(prepared.source.shape, kept[high].kind, order="F")
            target = np.moveaxis(prepared.reorientation.apply(result), axis, 0)
        winner, lead = _winners(kept[low], kept[high], float(weight), first, second)
        target[place] = winner
        if ahead is not None and lead is not None:
            ahead[place] = np.minimum(lead, np.finfo(np.float16).max)
    # The last plane may lie beyond the last voxel; whoever makes the planes is let finish.
    for _ in read:
        pass
    assert result is not None
    return result


@dataclass(frozen=True, eq=False)
class _Plane:
    """Scores of one plane and which is the highest.

    Attributes:
        scores: (structures + 1, first * second), float32; where the planes came from, if that is an NVIDIA GPU, else on
            the CPU.
        winner: (first, second).
        lead: How far the highest is ahead of the next, (first, second); None where nobody asks.
    """

    scores: Tensor
    winner: npt.NDArray
    lead: npt.NDArray[np.float32] | None

    @property
    def kind(self) -> type[np.uint8] | type[np.uint16]:
        """Narrowest type that holds the indices of the scores, and one number more as a mark."""
        return np.uint8 if len(self.scores) <= np.iinfo(np.uint8).max else np.uint16


def _scored(planes: Iterable[Tensor], *, with_leads: bool) -> Iterator[tuple[int, _Plane]]:
    for number, scores in enumerate(planes):
        shape = scores.shape[1:]
        own = scores.detach().float()
        # A copy: the memory behind a plane may be used again for the next ones.
        own = (own if own.device.type == "cuda" else own.cpu()).reshape(len(scores), -1).clone()
        lead = _lead(own).reshape(shape) if with_leads else None
        # Three times as fast as `argmax`; of equal scores both give the first (on the CPU).
        plane = _Plane(own, own.max(dim=0).indices.cpu().reshape(shape).numpy(), lead)
        yield number, _Plane(own, plane.winner.astype(plane.kind), lead)


def _lead(scores: Tensor) -> npt.NDArray[np.float32]:
    """How far the highest of scores (structures + 1, voxels) is ahead of the next, (voxels,)."""
    best = scores.topk(2, dim=0).values
    return (best[0] - best[1]).cpu().numpy()


def _neighbours(source: int, target: int) -> Places:
    """As `places_of`; where the voxel above has no weight, it is the one below."""
    low, high, weight = places_of(source, target)
    return low, np.where(weight == 0, low, high), weight


def _winners(
    below: _Plane, above: _Plane, weight: float, first: Places, second: Places
) -> tuple[npt.NDArray, npt.NDArray[np.float32] | None]:
    """Winners on one plane of the source, and their leads, between two planes; `weight` is that of the one above."""
    import torch

    mark = np.iinfo(below.kind).max
    least, most = np.minimum(below.winner, above.winner), np.maximum(below.winner, above.winner)
    for axis, (low, high, _) in enumerate((first, second)):
        if np.array_equal(low, high):
            least, most = least.take(low, axis), most.take(low, axis)
        else:
            least = np.minimum(least.take(low, axis), least.take(high, axis))
            most = np.maximum(most.take(low, axis), most.take(high, axis))
    least[least != most] = mark
    row, column = np.nonzero(least == mark)
    size = max(1, SCORES_AT_ONCE // len(below.scores))
    width = below.winner.shape[1]
    device = below.scores.device
    lead = None
    if below.lead is not None and above.lead is not None:
        lead = _in_plane(below.lead * np.float32(1 - weight) + above.lead * np.float32(weight), first, second)
    for start in range(0, len(row), size):
        part = slice(start, start + size)
        i, j = row[part], column[part]
        corners = [torch.from_numpy(a[i] * width + b[j]).to(device) for a in first[:2] for b in second[:2]]
        down, across = (torch.from_numpy(one[2][where]).float().to(device) for one, where in ((first, i), (second, j)))
        at = [
            _between(below.scores.index_select(1, corner), above.scores.index_select(1, corner), weight)
            for corner in corners
        ]
        left, right = _between(at[0], at[2], down), _between(at[1], at[3], down)
        scores = _between(left, right, across)
        least[i, j] = scores.argmax(dim=0).cpu().numpy()
        if lead is not None:
            lead[i, j] = _lead(scores)
    return least, lead


def _in_plane(values: npt.NDArray[np.float32], first: Places, second: Places) -> npt.NDArray[np.float32]:
    """Values of a plane, interpolated along both of its axes."""
    for axis, (low, high, weights) in enumerate((first, second)):
        share = weights.astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
        values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return values


def _between(low: Tensor, high: Tensor, weight: Tensor | float) -> Tensor:
    """Linear interpolation; exactly `low` or `high` at its ends."""
    return low * (1 - weight) + high * weight
