"""How many directions an update of weights uses, by three measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from HQCSegmentLib.qpg.channels import ChannelView
from HQCSegmentLib.qpg.injection import injected_layers, start_weight


@dataclass(frozen=True)
class Ranks:
    """Ranks of a matrix with singular values s_1 >= s_2 >= ...

    Attributes:
        numerical: How many s_i exceed s_1 x machine precision x the longer side (as numpy counts).
        stable: sum of s_i^2 / s_1^2 (Rudelson and Vershynin, J. ACM 54, 2007); 0 for a zero matrix.
        entropic: exp of the entropy of s_i / sum of s (Roy and Vetterli, EUSIPCO 2007, "effective rank"); 0 for a
            zero matrix.
        full: The largest possible rank, the shorter side.
    """

    numerical: int
    stable: float
    entropic: float
    full: int


def matrix_ranks(matrix: Tensor) -> Ranks:
    """Ranks of a matrix.

    Args:
        matrix: (rows, columns), float32 or float64, on any device; decomposed on the CPU, as Apple's MPS cannot, or
            with an error (https://github.com/pytorch/pytorch/issues/196112).
    """
    full = min(matrix.shape)
    singular = torch.linalg.svdvals(matrix.detach().cpu())
    largest = singular[0]
    if not largest > 0:
        return Ranks(0, 0.0, 0.0, full)
    tolerance = largest * max(matrix.shape) * torch.finfo(matrix.dtype).eps
    parts = singular / singular.sum()
    entropy = -torch.special.xlogy(parts, parts).sum()
    return Ranks(
        numerical=int((singular > tolerance).sum()),
        stable=float((singular / largest).square().sum()),
        entropic=float(entropy.exp()),
        full=full,
    )


@torch.no_grad()
def update_ranks(network: nn.Module) -> dict[str, Ranks]:
    """Ranks of W - W0 of every layer that a method changes, as matrices (filters, numbers of a filter).

    Args:
        network: After `inject`.
    """
    ranks = {}
    for name, layer in injected_layers(network):
        base = start_weight(layer)
        # The weights are rounded to their own precision, so the update's small singular values are rounding errors
        # below that: its rank is counted in that precision, but for half precision.
        precision = torch.promote_types(base.dtype, torch.float32)
        update = cast(Tensor, layer.weight).to(precision) - base.to(precision)
        ranks[name] = matrix_ranks(ChannelView.of(layer).to_rows(update))
    return ranks
