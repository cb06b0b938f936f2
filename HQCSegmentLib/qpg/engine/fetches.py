"""Amplitudes of halves of a state that are taken from other places: entanglers, and other qubits first.

Rows of terms are fetched by their numbers, which is several times as fast as copying transposed tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from HQCSegmentLib.qpg.circuits import CNOT, CZ
from HQCSegmentLib.qpg.engine.monomial import branches
from HQCSegmentLib.qpg.tables import table


@dataclass(frozen=True)
class Fetches:
    """Where the products that a half becomes have their amplitudes from, and the way back.

    Attributes:
        index: (size * branches,), of amplitudes of the half.
        factor: (size * branches, 1), of the type of angles; None: all 1.
        back: (parts * size,), of amplitudes of the products, whose gradients are added up: every branch is a
            permutation, and fetching by its inverse is much faster than adding to where it came from.
        back_factor: (parts, size, 1), likewise.
        branches: How many products.
    """

    index: Tensor
    factor: Tensor | None
    back: Tensor
    back_factor: Tensor | None
    branches: int


def fetched(half: Tensor, fetches: Sequence[Fetches]) -> Tensor:
    """Products that halves become.

    Args:
        half: (batch, size, terms), differentiable.
        fetches: For equal parts of the batch, one after the other.

    Returns:
        (batch, size, branches * terms).
    """
    if half.requires_grad and torch.is_grad_enabled():
        return _Fetched.apply(half, fetches)
    size = half.shape[1]
    chosen = half.new_empty(len(half), size * fetches[0].branches, half.shape[2])
    parts = (tensor.chunk(len(fetches)) for tensor in (half, chosen))
    for fetch, part, out in zip(fetches, *parts, strict=True):
        torch.index_select(part, 1, fetch.index, out=out)
        if fetch.factor is not None:
            out *= fetch.factor
    return chosen.view(len(half), size, -1)


def fetched_back(gradient: Tensor, fetches: Sequence[Fetches]) -> Tensor:
    """Gradient by halves, from that by the products that they became; arguments and shapes as those of `fetched`."""
    size, products = gradient.shape[1], fetches[0].branches
    by_product = gradient.reshape(len(gradient), size * products, -1)
    by_half = gradient.new_empty(len(gradient), size, by_product.shape[2])
    parts = (tensor.chunk(len(fetches)) for tensor in (by_product, by_half))
    for fetch, part, out in zip(fetches, *parts, strict=True):
        if len(fetch.back) == size:
            torch.index_select(part, 1, fetch.back, out=out)
            if fetch.back_factor is not None:
                out *= fetch.back_factor[0]
            continue
        chosen = part.index_select(1, fetch.back).unflatten(1, (-1, size))
        if fetch.back_factor is not None:
            chosen *= fetch.back_factor
        torch.sum(chosen, dim=1, out=out)
    return by_half


class _Fetched(torch.autograd.Function):
    """`fetched`, with a gradient that is fetched as well."""

    @staticmethod
    def forward(ctx: Any, half: Tensor, fetches: Sequence[Fetches]) -> Tensor:
        ctx.fetches = fetches
        return fetched(half, fetches)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return fetched_back(gradient, ctx.fetches), None


@table
def entangled(
    gates: tuple[CNOT | CZ, ...], first: int, stop: int, in_front: int, device: torch.device, dtype: torch.dtype
) -> Fetches:
    """What fixed gates do to a part of the qubits.

    Args:
        gates: In order.
        first: First qubit of the part.
        stop: Qubit after the last of the part.
        in_front: How many of the last qubits come first in the half as it is before; after it all are in order.
        device: Where the result is needed.
        dtype: Of angles.
    """
    index, factor = branches(gates, first, stop, torch.device("cpu"))
    count, size = index.shape
    inverse = torch.argsort(index, dim=1)
    back = inverse * count + torch.arange(count).unsqueeze(1)
    back_factor = factor.gather(1, inverse).to(dtype)
    # Every amplitude is in equally many products, and not in those that are for another value of its control.
    parts = int((back_factor[:, 0] != 0).sum())
    used = back_factor.abs().argsort(dim=0, descending=True, stable=True)[:parts]
    order = torch.arange(size).view(-1, 2**in_front).t().flatten()
    back, back_factor = (tensor.gather(0, used)[:, order] for tensor in (back, back_factor))
    signs = factor.t().reshape(-1, 1).to(dtype)
    return Fetches(
        torch.argsort(order)[index.t().flatten()].to(device),
        None if bool((signs == 1).all()) else signs.to(device),
        back.flatten().to(device),
        None if bool((back_factor == 1).all()) else back_factor.unsqueeze(2).to(device),
        count,
    )


@table
def rotated(front: int, size: int, device: torch.device) -> Fetches:
    """The first qubits, which have `front` of `size` amplitudes, come last."""
    index = torch.arange(size).view(front, -1).t().flatten()
    return Fetches(index.to(device), None, torch.argsort(index).to(device), None, 1)
