"""Weights from generated values, in one pass over memory: W = W0 + scale (values - values at the start) + shift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from HQCSegmentLib.qpg.blocks import rows_at_once


def combine(
    values: Tensor, *, scale: Tensor, shift: Tensor, bases: Sequence[Tensor], starts: Sequence[Tensor] | None = None
) -> list[Tensor]:
    """Weights of a batch of layers, each as rows of channels.

    The same as `bases[l] + scale * (values - starts[l]) + shift` layer by layer, without large tensors in between.
    Where values are those at the start and shifts are zero, the result is `bases` to the last bit.

    Args:
        values: (channels of all layers, columns): what was generated; a layer uses as many columns as it has numbers.
        scale: (channels of all layers, 1).
        shift: (channels of all layers, 1).
        bases: W0 of each layer, (channels, numbers), dtype of the values.
        starts: Of each layer (channels, numbers), constant; None: zero.

    Returns:
        For each layer (channels, numbers), differentiable with respect to all but `starts`.
    """
    return list(_Combination.apply(values, scale, shift, len(bases), *bases, *(starts or ())))


class _Combination(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, scale: Tensor, shift: Tensor, layers: int, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        bases, starts = tensors[:layers], tensors[layers:]
        ctx.save_for_backward(values, scale, *starts)
        results = [torch.empty_like(base, memory_format=torch.contiguous_format) for base in bases]
        ctx.shapes = [base.shape for base in bases]
        for layer, rows, batch in _parts(ctx.shapes, values):
            changed = values[batch, : results[layer].shape[1]]
            if starts:
                changed = changed - starts[layer][rows]
            out = torch.addcmul(bases[layer][rows], changed, scale[batch], out=results[layer][rows])
            out.add_(shift[batch])
        return tuple(results)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        values, scale, *starts = ctx.saved_tensors
        by_values = torch.empty_like(values) if ctx.needs_input_grad[0] else None
        by_scale, by_shift = torch.empty_like(scale), torch.empty_like(scale)
        for layer, rows, batch in _parts(ctx.shapes, values):
            numbers, gradient = ctx.shapes[layer][1], gradients[layer][rows]
            changed = values[batch, :numbers]
            changed = (changed - starts[layer][rows]).mul_(gradient) if starts else changed * gradient
            torch.sum(changed, dim=1, keepdim=True, out=by_scale[batch])
            torch.sum(gradient, dim=1, keepdim=True, out=by_shift[batch])
            if by_values is not None:
                torch.mul(gradient, scale[batch], out=by_values[batch, :numbers])
                by_values[batch, numbers:] = 0
        needed = ctx.needs_input_grad[4 : 4 + len(gradients)]
        by_bases = [gradient if need else None for gradient, need in zip(gradients, needed, strict=True)]
        return by_values, by_scale, by_shift, None, *by_bases, *[None] * len(starts)


def _parts(shapes: Sequence[torch.Size], values: Tensor) -> Iterator[tuple[int, slice, slice]]:
    """A few channels of one layer: the layer, where they are in it, and where in the batch of all layers."""
    before = 0
    for layer, (channels, numbers) in enumerate(shapes):
        step = rows_at_once(values, numbers=numbers)
        for first in range(0, channels, step):
            stop = min(first + step, channels)
            yield layer, slice(first, stop), slice(before + first, before + stop)
        before += channels
