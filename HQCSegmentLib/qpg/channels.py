"""A layer's weight seen as channels: one row of numbers for every output filter."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED_CONVOLUTIONS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
SUPPORTED_LAYERS = (*CONVOLUTIONS, *TRANSPOSED_CONVOLUTIONS, nn.Linear)


@dataclass(frozen=True)
class ChannelView:
    """How the weight of one layer is laid out, and its exact change to and from rows of channels.

    Attributes:
        shape: Shape of the weight tensor.
        transposed: Whether the input channels come first, as in transposed convolutions.
        groups: Groups of the convolution (1 for linear layers).
    """

    shape: tuple[int, ...]
    transposed: bool = False
    groups: int = 1

    @classmethod
    def of(cls, layer: nn.Module) -> ChannelView:
        """View of a supported layer's weight."""
        weight: Tensor = layer.weight  # type: ignore[assignment]
        return cls(
            tuple(weight.shape),
            isinstance(layer, TRANSPOSED_CONVOLUTIONS),
            getattr(layer, "groups", 1),
        )

    @property
    def channels(self) -> int:
        """Number of output filters, C."""
        return self.shape[1] * self.groups if self.transposed else self.shape[0]

    @property
    def numbers(self) -> int:
        """Numbers of one channel, M = inputs of the filter x kernel volume."""
        total = 1
        for size in self.shape:
            total *= size
        return total // self.channels

    def to_rows(self, weight: Tensor) -> Tensor:
        """Weight -> (channels, numbers)."""
        if self.transposed:
            weight = weight.unflatten(0, (self.groups, -1)).transpose(1, 2)
        return weight.reshape(self.channels, self.numbers)

    def to_weight(self, rows: Tensor) -> Tensor:
        """(channels, numbers) -> weight, contiguous; inverse of `to_rows`."""
        if not self.transposed:
            return rows.reshape(self.shape)
        inputs, outputs, *kernel = self.shape
        grouped = rows.reshape(self.groups, outputs, inputs // self.groups, *kernel)
        return grouped.transpose(1, 2).reshape(self.shape).contiguous()
