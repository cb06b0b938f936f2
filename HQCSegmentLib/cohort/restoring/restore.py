"""Plane after plane of scores, interpolated to the planes of the image; the way depends on where the scores are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.preprocessing import Prepared
from HQCSegmentLib.cohort.resampling import Places, places_of
from HQCSegmentLib.cohort.restoring.everywhere import Everywhere
from HQCSegmentLib.cohort.restoring.outlines import Outlines
from HQCSegmentLib.errors import WorkError

if TYPE_CHECKING:
    from torch import Tensor

LabelMap = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

Kept = TypeVar("Kept")


class Way(Protocol[Kept]):
    """How the label map between two planes of scores is found."""

    def keep(self, scores: Tensor) -> Kept:
        """What is needed of one plane of scores (structures + 1, first, second), whose memory is used again."""

    def labelled(self, pairs: Iterator[tuple[Kept, Kept, float]]) -> Iterator[tuple[npt.NDArray, npt.NDArray | None]]:
        """Winning outputs and their leads, (planes, first, second) of the image, some planes at a time.

        Args:
            pairs: For each plane of the image the planes of scores below and above it, and the weight of the latter.
        """


def restore(scores: Tensor, prepared: Prepared) -> LabelMap:
    """Label map in the source geometry from the scores of a whole volume; see `restore_planes`.

    Args:
        scores: (structures + 1, R, A, S), index 0 background; logits or probabilities.
        prepared: What `prepare` gave for the image.
    """
    return restore_planes((scores[..., place] for place in range(scores.shape[-1])), prepared, axis=2)


def restore_planes(
    planes: Iterable[Tensor],
    prepared: Prepared,
    *,
    axis: int,
    leads: npt.NDArray[np.float16] | None = None,
    everywhere: bool | None = None,
) -> LabelMap:
    """Label map in the source geometry; the structure with the highest linearly interpolated score wins.

    On a CPU scores are interpolated along outlines only (`Outlines`), on a GPU everywhere (`Everywhere`): both give the
    same label map. Of equal scores the first structure's wins.

    Args:
        planes: Scores (structures + 1, first, second) on the prepared grid, across `axis`, in ascending order; the
            two other axes of R, A, S in order. A plane is no longer looked at when the one after the next is taken.
        prepared: What `prepare` gave for the image.
        axis: 0, 1 or 2 for R, A, S.
        leads: Array (i, j, k) of the source, to be filled with how far the winning score is ahead of the next one at
            every voxel. Along outlines it is exact; elsewhere at least the interpolated leads of the neighbours, which
            is the least that it can be.
        everywhere: Whether scores are interpolated everywhere; None: where they are on an NVIDIA GPU.

    Returns:
        Index of the winning score, (i, j, k) of the source; uint8, or uint16 for more than 255 scores.

    Raises:
        WorkError: if there are fewer planes than the prepared grid has.
    """
    planes = iter(planes)
    top = next(planes, None)
    if top is None:
        raise _too_few(0, prepared.grid.shape[axis])
    own = prepared.source.reoriented(prepared.reorientation).shape
    first, second = (_neighbours(prepared.grid.shape[one], own[one]) for one in range(3) if one != axis)
    # Narrowest type that holds the outputs' indices, and one number more as a mark.
    kind = np.uint8 if len(top) <= np.iinfo(np.uint8).max else np.uint16
    # As images come from files: i is the fastest axis in memory.
    result: LabelMap = np.empty(prepared.source.shape, kind, order="F")  # type: ignore[assignment]
    target = np.moveaxis(prepared.reorientation.apply(result), axis, 0)
    ahead = None if leads is None else np.moveaxis(prepared.reorientation.apply(leads), axis, 0)
    make = Everywhere if (top.device.type == "cuda" if everywhere is None else everywhere) else Outlines
    way: Way = make(first, second, kind=kind, with_leads=leads is not None)
    scores = chain([top], planes)
    start = 0
    for winners, lead in way.labelled(_pairs(way, scores, prepared.grid.shape[axis], own[axis])):
        part = slice(start, start + len(winners))
        target[part] = winners
        if ahead is not None and lead is not None:
            ahead[part] = np.minimum(lead, np.finfo(np.float16).max)
        start = part.stop
    # The last plane may lie beyond the last voxel; whoever makes the planes is let finish.
    for _ in scores:
        pass
    return result


def _pairs(way: Way[Kept], scores: Iterator[Tensor], source: int, target: int) -> Iterator[tuple[Kept, Kept, float]]:
    """For each of the target's planes its neighbours among the source's, no more of which are kept than are needed."""
    kept: dict[int, Kept] = {}
    taken = 0
    for low, high, weight in zip(*_neighbours(source, target), strict=True):
        while high not in kept:
            kept = {index: plane for index, plane in kept.items() if index >= low}
            plane = next(scores, None)
            if plane is None:
                raise _too_few(taken, source)
            kept[taken] = way.keep(plane)
            taken += 1
        yield kept[low], kept[high], float(weight)


def _too_few(planes: int, wanted: int) -> WorkError:
    return WorkError(f"the scores end after {planes} of {wanted} planes.")


def _neighbours(source: int, target: int) -> Places:
    """As `places_of`; where the voxel above has no weight, it is the one below."""
    low, high, weight = places_of(source, target)
    return low, np.where(weight == 0, low, high), weight
