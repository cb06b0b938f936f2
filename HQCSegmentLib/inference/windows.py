"""Where the windows of a volume lie, and in which order they are taken."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

Triple = tuple[int, int, int]

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""First voxel and the one after the last, along R, A, S."""


@dataclass(frozen=True)
class WindowGrid:
    """Windows that cover a volume, as MONAI's `sliding_window_inference` lays them.

    Attributes:
        shape: Voxels of the volume along R, A, S.
        window: Voxels of a window along R, A, S; a 2D window is one voxel thick along S.
        starts: First voxel of the windows along each axis of the padded volume, ascending.
        axis: The axis that the windows move along last: all windows at one place of it are done before the next.
    """

    shape: Triple
    window: Triple
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    axis: int

    @classmethod
    def lay(cls, shape: Triple, window: tuple[int, ...], overlap: float) -> WindowGrid:
        """Cover a volume; the axis is the one along which the fewest voxels are unfinished at a time.

        Args:
            shape: Voxels along R, A, S.
            window: Voxels of a window along R, A, S, or along R, A for a 2D network.
            overlap: Part of a window shared with its neighbour.
        """
        whole = (*window, 1)[:3] if len(window) == 2 else window
        sides = (whole[0], whole[1], whole[2])
        starts = tuple(_starts(*one, overlap=overlap) for one in zip(shape, sides, strict=True))
        axis = 2 if len(window) == 2 else min(range(3), key=lambda one: _unfinished(shape, sides, one))
        return cls(shape, sides, (starts[0], starts[1], starts[2]), axis)

    @property
    def others(self) -> tuple[int, int]:
        """The two axes of a plane across `axis`."""
        first, second = (one for one in range(3) if one != self.axis)
        return first, second

    @property
    def padding(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Voxels added before and after along each axis, where the volume is smaller than a window."""
        first, second, third = (
            ((side - size) // 2, side - size - (side - size) // 2) if side > size else (0, 0)
            for size, side in zip(self.shape, self.window, strict=True)
        )
        return first, second, third

    @property
    def padded(self) -> Triple:
        """Voxels of the padded volume along R, A, S."""
        first, second, third = (max(pair) for pair in zip(self.shape, self.window, strict=True))
        return first, second, third

    def __len__(self) -> int:
        return math.prod(len(one) for one in self.starts)

    def __iter__(self) -> Iterator[Triple]:
        """First voxels (R, A, S) of the windows in the padded volume, `axis` slowest, then as MONAI has them."""
        first, second = self.others
        for along, one, two in itertools.product(self.starts[self.axis], self.starts[first], self.starts[second]):
            place = {self.axis: along, first: one, second: two}
            yield place[0], place[1], place[2]


def _starts(size: int, side: int, *, overlap: float) -> tuple[int, ...]:
    """First voxels along one axis: regular steps, and the last window ends with the volume."""
    if size <= side:
        return (0,)
    step = max(1, int(side * (1 - overlap)))
    number = math.ceil((size - side) / step) + 1
    return tuple(min(index * step, size - side) for index in range(number))


def _unfinished(shape: Triple, window: Triple, axis: int) -> int:
    """Voxels that wait for further windows when these move along an axis."""
    return math.prod(
        side if one == axis else max(size, side) for one, (size, side) in enumerate(zip(shape, window, strict=True))
    )
