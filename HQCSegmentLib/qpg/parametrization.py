"""The parametrization of one layer's weight: its circuits' angles, scales and shifts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from HQCSegmentLib.qpg.channels import ChannelView
from HQCSegmentLib.qpg.config import QPGConfig
from HQCSegmentLib.qpg.readout import qubits_needed

if TYPE_CHECKING:
    from HQCSegmentLib.qpg.generator import Generator


class CircuitWeights(nn.Module):
    """One circuit per channel of one layer:  W_c = W0_c + sigma_c * (exp(s_c) * v(phi_c) + b_c).

    Attributes:
        angles: phi, (channels, depth, qubits) in radians, distance from the uniform start; zero at the start, and
            weight decay pulls towards it.
        log_scale: s, (channels,), learned.
        shift: b in units of sigma, (channels,), learned.
        deviation: sigma, the standard deviation of W0 in each channel (where W0 is constant, for example zero: He's
            sqrt(2 / numbers)), (channels, 1), fixed.
    """

    deviation: Tensor
    generator: Generator

    def __init__(self, base: Tensor, *, view: ChannelView, config: QPGConfig, generator: Generator) -> None:
        """Make the circuits of a layer.

        Args:
            base: W0, the weight that training starts from.
            view: How `base` is divided into channels.
            config: Depth and readout.
            generator: Computes the weights of all layers together.
        """
        super().__init__()
        self.view = view
        self.config = config
        self.qubits = qubits_needed(view.numbers, config.readout)
        # Generation is always float32 or better: half-precision networks get their weights rounded once, at the end.
        dtype = torch.promote_types(base.dtype, torch.float32)
        rows = view.to_rows(base.detach()).to(dtype)
        self.angles = nn.Parameter(rows.new_zeros(view.channels, config.depth, self.qubits))
        self.log_scale = nn.Parameter(rows.new_zeros(view.channels))
        self.shift = nn.Parameter(rows.new_zeros(view.channels))
        deviation = rows.std(dim=1, correction=0, keepdim=True)
        self.register_buffer("deviation", deviation.where(deviation > 0, math.sqrt(2 / view.numbers)))
        # Not a submodule: every layer of the network refers to the same generator.
        object.__setattr__(self, "generator", generator)
        self.index = generator.add(self, base)

    def forward(self, base: Tensor) -> Tensor:
        """Weight of the layer, from W0."""
        return self.generator.weight(self.index, base)

    def versions(self, base: Tensor) -> tuple[int, ...]:
        """Changes whenever a tensor that the weight depends on is changed, replaced, moved, frozen or unfrozen."""
        tensors = (self.angles, self.log_scale, self.shift, self.deviation, base)
        return tuple(part for tensor in tensors for part in (tensor._version, tensor.data_ptr(), tensor.requires_grad))

    def assemble(self, base: Tensor, values: Tensor) -> Tensor:
        """W from W0 and the circuits' values.

        Args:
            base: W0, the layer's shape.
            values: v, (channels, numbers).
        """
        scale = self.deviation * torch.exp(self.log_scale).unsqueeze(1)
        shift = self.deviation * self.shift.unsqueeze(1)
        rows = self.view.to_rows(base).to(values.dtype)
        return self.view.to_weight(torch.addcmul(rows + shift, scale, values)).to(base.dtype)

    def extra_repr(self) -> str:
        """Shown when the network is printed."""
        return (
            f"circuits={self.view.channels}, qubits={self.qubits}, depth={self.config.depth}, "
            f"readout={self.config.readout}"
        )
