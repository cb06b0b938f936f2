"""A layer's weight seen as channels: one row of numbers for every output filter, or for every kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from HQCSegmentLib.qpg.config import Channel

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
        channel: What a row is: an output filter with all its inputs, or one kernel (input-output pair).
    """

    shape: tuple[int, ...]
    transposed: bool = False
    groups: int = 1
    channel: Channel = "filter"

    @classmethod
    def of(cls, layer: nn.Module, *, channel: Channel = "filter") -> ChannelView:
        """View of a supported layer's weight."""
        weight: Tensor = layer.weight  # type: ignore[assignment]
        return cls(
            tuple(weight.shape),
            isinstance(layer, TRANSPOSED_CONVOLUTIONS),
            getattr(layer, "groups", 1),
            channel,
        )

    @property
    def filters(self) -> int:
        """Number of output filters."""
        return self.shape[1] * self.groups if self.transposed else self.shape[0]

    @property
    def kernel(self) -> tuple[int, ...]:
        """Shape of one kernel; () for linear layers."""
        return self.shape[2:]

    @property
    def inputs(self) -> int:
        """Input channels of one filter."""
        return math.prod(self.shape) // (self.filters * math.prod(self.kernel))

    @property
    def channels(self) -> int:
        """Number of rows, C."""
        return self.filters if self.channel == "filter" else self.filters * self.inputs

    @property
    def numbers(self) -> int:
        """Numbers of one row, M: inputs of the filter x kernel volume, or the kernel volume alone."""
        return math.prod(self.shape) // self.channels

    @property
    def is_strided(self) -> bool:
        """Whether channels are an axis of the weight, so that `by_channel` needs no copy."""
        return not self.transposed or (self.groups == 1 and self.channel == "filter")

    def by_channel(self, weight: Tensor) -> Tensor:
        """Weight -> (channels, numbers), or (channels, inputs, kernel volume); a view where channels are an axis."""
        if self.transposed and self.is_strided:
            return weight.flatten(2).transpose(0, 1)
        return self.to_rows(weight)

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
