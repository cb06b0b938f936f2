"""Qubits with a meaning: some number the input channels, others the places along each axis of the kernel.

A basis state is then (input, place along the first axis, ...), each with bits of its own, so that one rotation acts
on one axis. Places that a register could number but the kernel does not have (the fourth of 3) are not used.
"""

from __future__ import annotations

import torch
from torch import Tensor

from HQCSegmentLib.qpg.channels import ChannelView
from HQCSegmentLib.qpg.coordinates.coordinates import WeightCoordinates


class RegisterCoordinates(WeightCoordinates):
    """Register of the input channels (most significant), then one register per axis of the kernel."""

    places: Tensor

    def __init__(self, view: ChannelView) -> None:
        """For the inputs and the kernel of a layer's channels."""
        super().__init__()
        sizes = [view.inputs, *view.kernel]
        bits = [(size - 1).bit_length() for size in sizes]
        self.values = 2 ** sum(bits)
        places = torch.zeros(1, dtype=torch.int64)
        for size, width in zip(sizes, bits, strict=True):
            places = (places.unsqueeze(1) * 2**width + torch.arange(size)).flatten()
        self.register_buffer("places", places, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Pick the values whose basis states number a weight: (channels, at least `values`) -> (channels, numbers)."""
        return values.index_select(1, self.places)
