"""What a circuit does, without a circuit: a fixed random linear map of a few trained numbers per channel (a control).

In the manner of NOLA (Koohpayegani et al., arXiv:2310.02556). The map is drawn from a seed, the same for all channels
of a layer. Coordinates, scale and shift are those of the circuits, so that only the circuits are replaced.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from HQCSegmentLib.qpg.channels import ChannelView
from HQCSegmentLib.qpg.circuits import ANSATZES
from HQCSegmentLib.qpg.config import RandomMapConfig
from HQCSegmentLib.qpg.coordinates import make_coordinates
from HQCSegmentLib.qpg.methods.update import Kind, WeightUpdate, deviations, generation_dtype
from HQCSegmentLib.qpg.readout import qubits_needed


class RandomMapUpdate(WeightUpdate):
    """W_c = W0_c + sigma_c * (exp(s_c) * T(z_c R) + b_c).

    Attributes:
        coefficients: z, (channels, count), zero at the start.
        map: R, (count, values), normal with deviation 1, fixed.
        log_scale: s, (channels,).
        shift: b in units of sigma, (channels,).
        deviation: sigma, (channels, 1), fixed.
    """

    kinds: ClassVar[dict[str, Kind]] = {"coefficients": "factors", "log_scale": "scales", "shift": "scales"}
    map: Tensor
    deviation: Tensor

    def __init__(self, base: Tensor, *, view: ChannelView, config: RandomMapConfig, depth: int, seed: int) -> None:
        """Make the update of a layer; `depth` is that of the circuits whose angles are counted."""
        super().__init__(base, view=view)
        rows = view.to_rows(base.detach()).to(generation_dtype(base))
        self.coordinates = make_coordinates(config.like, view=view, rows=rows)
        count = config.numbers
        if count is None:
            qubits = qubits_needed(self.coordinates.values, config.like.readout)
            count = depth * ANSATZES[config.like.ansatz].angles_per_layer(qubits)
        drawn = torch.randn(count, self.coordinates.values, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("map", drawn.to(rows), persistent=False)
        self.coefficients = nn.Parameter(rows.new_zeros(view.channels, count))
        self.log_scale = nn.Parameter(rows.new_zeros(view.channels))
        self.shift = nn.Parameter(rows.new_zeros(view.channels))
        self.register_buffer("deviation", deviations(rows))

    def row_block(self) -> Tensor:
        """One matrix product, (channels, numbers)."""
        values = self.coordinates(self.coefficients @ self.map)
        return self.deviation * (torch.exp(self.log_scale).unsqueeze(1) * values + self.shift.unsqueeze(1))

    def extra_repr(self) -> str:
        """Shown when the network is printed."""
        return f"channels={self.view.channels}, numbers={self.coefficients.shape[1]}"
