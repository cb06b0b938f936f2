"""Low-rank updates (Hu et al., arXiv:2106.09685), for convolutions as PEFT has them.

A layer's weight as a matrix (channels x numbers) gets the update (alpha / rank) up @ down. For a convolution this is a
convolution to `rank` channels followed by a 1 x 1 convolution.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from HQCSegmentLib.qpg.channels import ChannelView
from HQCSegmentLib.qpg.methods.update import Kind, WeightUpdate, generation_dtype


class LoRAUpdate(WeightUpdate):
    """W = W0 + (alpha / rank) up @ down.

    Attributes:
        down: (rank, numbers), random at the start as torch initialises a convolution.
        up: (channels, rank), zero at the start.
    """

    kinds: ClassVar[dict[str, Kind]] = {"down": "factors", "up": "factors"}

    def __init__(self, base: Tensor, *, view: ChannelView, rank: int, alpha: float | None, seed: int) -> None:
        """Make the update of a layer; a rank above the smaller side of the matrix is cut to it."""
        super().__init__(base, view=view)
        rank = min(rank, view.channels, view.numbers)
        self.scale = 1.0 if alpha is None else alpha / rank
        dtype = generation_dtype(base)
        bound = 1 / math.sqrt(view.numbers)
        generator = torch.Generator().manual_seed(seed)
        down = torch.rand(rank, view.numbers, generator=generator, dtype=dtype) * 2 * bound - bound
        self.down = nn.Parameter(down.to(base.device))
        self.up = nn.Parameter(torch.zeros(view.channels, rank, dtype=dtype, device=base.device))

    def row_block(self) -> Tensor:
        """One matrix product, (channels, numbers)."""
        return self.scale * (self.up @ self.down)

    def extra_repr(self) -> str:
        """Shown when the network is printed."""
        return f"rank={self.down.shape[0]}"
