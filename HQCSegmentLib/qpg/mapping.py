"""The mapped readout: Quantum-Train's way from probabilities to weights.

Liu et al., arXiv:2402.16465 and 2405.11304: each weight is computed by a small network from the bits of its basis
state and the transformed probability (beta tanh(gamma 2^(n-1) p))^alpha. Unlike their published code, the network has
real activations (without them the map is affine), and the bit strings are fixed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

ALPHA, BETA, GAMMA = 0.3, 0.8, 0.1
"""Constants of the transform, as in Quantum-Train's code."""

SMALLEST = 1e-6
"""Below it the transform is cut off: its slope is infinite at p = 0."""

HIDDEN = 20


class QuantumTrainMapping(nn.Module):
    """Small network of one layer of the segmentation network, shared by its circuits.

    Its last layer starts at zero, so that all values are exactly zero at the start.

    Attributes:
        bits: (values, qubits), -1 or 1: the basis states' bits, most significant first.
    """

    bits: Tensor

    def __init__(self, qubits: int, *, values: int, seed: int) -> None:
        """Make the network.

        Args:
            qubits: Of the circuits.
            values: How many basis states are read.
            seed: Of the first layer's weights.
        """
        super().__init__()
        states = torch.arange(values).unsqueeze(1) >> torch.arange(qubits - 1, -1, -1)
        self.register_buffer("bits", 2.0 * (states & 1) - 1, persistent=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = nn.Linear(qubits + 1, HIDDEN)
        self.last = nn.Linear(HIDDEN, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, deviations: Tensor) -> Tensor:
        """Values from 2^n p - 1.

        Args:
            deviations: (channels, values), what the probability readout gives.

        Returns:
            (channels, values).
        """
        transformed = (BETA * torch.tanh(GAMMA / 2 * (deviations + 1))).clamp_min(SMALLEST) ** ALPHA
        weight, bias = self.first.weight, self.first.bias
        # The bits' part is the same for all channels.
        from_bits = self.bits.to(weight.dtype) @ weight[:, :-1].T + bias
        hidden = torch.tanh(from_bits + transformed.unsqueeze(2) * weight[:, -1])
        return self.last(hidden).squeeze(2)
