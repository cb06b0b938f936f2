"""Scores interpolated along outlines only, on a CPU.

Where the eight neighbours of a voxel have the same winner, it wins between them too: linear interpolation weighs with
numbers that are not negative. So neither time nor memory grow with the number of structures times that of voxels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.resampling import Places
from HQCSegmentLib.cohort.restoring.scores import between, lead_of

if TYPE_CHECKING:
    from torch import Tensor

SCORES_AT_ONCE = 2**22
"""Numbers interpolated at a time: 16 MiB for each of the eight neighbours."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Scores of one plane and which is the highest.

    Attributes:
        scores: (structures + 1, first * second), float32, on the CPU.
        winner: (first, second).
        lead: How far the highest is ahead of the next, (first, second); None where nobody asks.
    """

    scores: Tensor
    winner: npt.NDArray
    lead: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class Outlines:
    """A plane of the image at a time, from the winners of the planes of scores around it.

    Attributes:
        first: Places of the image's voxels among those of the scores, along the first axis of a plane.
        second: Along the second.
        kind: Of winners; its largest number is none.
        with_leads: Whether somebody asks for these.
    """

    first: Places
    second: Places
    kind: type[np.uint8] | type[np.uint16]
    with_leads: bool

    def keep(self, scores: Tensor) -> Plane:
        """A copy: the memory behind a plane may be used again for the next ones."""
        own = scores.detach().float().cpu().reshape(len(scores), -1).clone()
        shape = scores.shape[1:]
        lead = lead_of(own).reshape(shape).numpy() if self.with_leads else None
        # Three times as fast as `argmax`; of equal scores both give the first (on the CPU).
        return Plane(own, own.max(dim=0).indices.reshape(shape).numpy().astype(self.kind), lead)

    def labelled(self, pairs: Iterator[tuple[Plane, Plane, float]]) -> Iterator[tuple[npt.NDArray, npt.NDArray | None]]:
        """Winners and leads of one plane of the image after the other."""
        for below, above, weight in pairs:
            winner, lead = self._winners(below, above, weight)
            yield winner[None], None if lead is None else lead[None]

    def _winners(self, below: Plane, above: Plane, weight: float) -> tuple[npt.NDArray, npt.NDArray[np.float32] | None]:
        """Between two planes; `weight` is that of the one above."""
        import torch

        mark = np.iinfo(self.kind).max
        least, most = np.minimum(below.winner, above.winner), np.maximum(below.winner, above.winner)
        for axis, (low, high, _) in enumerate((self.first, self.second)):
            if np.array_equal(low, high):
                least, most = least.take(low, axis), most.take(low, axis)
            else:
                least = np.minimum(least.take(low, axis), least.take(high, axis))
                most = np.maximum(most.take(low, axis), most.take(high, axis))
        least[least != most] = mark
        row, column = np.nonzero(least == mark)
        size = max(1, SCORES_AT_ONCE // len(below.scores))
        width = below.winner.shape[1]
        lead = None
        if below.lead is not None and above.lead is not None:
            lead = self._in_plane(below.lead * np.float32(1 - weight) + above.lead * np.float32(weight))
        for start in range(0, len(row), size):
            part = slice(start, start + size)
            i, j = row[part], column[part]
            corners = [torch.from_numpy(a[i] * width + b[j]) for a in self.first[:2] for b in self.second[:2]]
            down, across = (
                torch.from_numpy(one[2][where]).float() for one, where in ((self.first, i), (self.second, j))
            )
            at = [
                between(below.scores.index_select(1, corner), above.scores.index_select(1, corner), weight)
                for corner in corners
            ]
            left, right = between(at[0], at[2], down), between(at[1], at[3], down)
            scores = between(left, right, across)
            least[i, j] = scores.argmax(dim=0).numpy()
            if lead is not None:
                lead[i, j] = lead_of(scores).numpy()
        return least, lead

    def _in_plane(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Values of a plane, interpolated along both of its axes."""
        for axis, (low, high, weights) in enumerate((self.first, self.second)):
            share = weights.astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
            values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
        return values
