"""Patterns of signs: every value of a circuit changes all numbers of its channel.

With the signed readout number s is then 2**((n-1)/2) <Z (x) Z**s>: the expectation value of a Pauli-Z string.
"""

from __future__ import annotations

from torch import Tensor

from HQCSegmentLib.qpg.coordinates.coordinates import WeightCoordinates
from HQCSegmentLib.qpg.walsh import walsh


class WalshCoordinates(WeightCoordinates):
    """Value b is the coefficient of the b-th Walsh function over the channel's numbers."""

    def __init__(self, numbers: int) -> None:
        """For channels of so many numbers; as many values are needed as the next power of two."""
        super().__init__()
        self.numbers = numbers
        self.values = 2 ** (numbers - 1).bit_length()

    def forward(self, values: Tensor) -> Tensor:
        """Transform, and keep the first: (channels, at least `values`) -> (channels, numbers)."""
        return walsh(values[:, : self.values])[:, : self.numbers]
