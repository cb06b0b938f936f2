"""What all coordinates have in common."""

from __future__ import annotations

from torch import Tensor, nn


class WeightCoordinates(nn.Module):
    """A fixed linear map from generated values to a channel's weights.

    Scaled so that values of size 1 give weights of size 1 (root mean square).

    Attributes:
        values: How many values a circuit has to generate for one channel.
    """

    values: int

    def forward(self, values: Tensor) -> Tensor:
        """Generated values (channels, at least `values`) -> (channels, numbers)."""
        raise NotImplementedError
