"""Weight by weight: value b is the b-th number of the channel."""

from __future__ import annotations

from torch import Tensor

from HQCSegmentLib.qpg.coordinates.coordinates import WeightCoordinates


class FlatCoordinates(WeightCoordinates):
    """The channel's numbers in the order in which torch stores them."""

    def __init__(self, numbers: int) -> None:
        """For channels of so many numbers."""
        super().__init__()
        self.values = numbers

    def forward(self, values: Tensor) -> Tensor:
        """Keep the first values: (channels, at least numbers) -> (channels, numbers)."""
        return values[:, : self.values]
