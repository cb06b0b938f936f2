"""Weights from generated values, block by block in the cache: W = W0 + scale (values - values at the start) + shift."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from HQCSegmentLib.qpg.blocks import rows_at_once
from HQCSegmentLib.qpg.channels import ChannelView
from HQCSegmentLib.qpg.engine import Blocks, Run


@dataclass(frozen=True)
class Layers:
    """Layers whose channels are computed one after the other, in one batch.

    Attributes:
        views: How their weights are divided into channels.
        bases: W0, each of the shape of the layer's weight, float32 or float64.
        starts: Values at the start, (channels, numbers) of each layer, constant; None: zero.
    """

    views: Sequence[ChannelView]
    bases: Sequence[Tensor]
    starts: Sequence[Tensor] | None = None


def combine(values: Tensor, layers: Layers, *, scale: Tensor, shift: Tensor) -> list[Tensor]:
    """Weights of a batch of layers.

    The same as W0 + scale * (values - values at the start) + shift layer by layer, without large tensors in between.
    Where values are those at the start and shifts are zero, the result is W0 to the last bit.

    Args:
        values: (channels of all layers, columns): what was generated; a layer uses as many columns as it has numbers.
        layers: What the values are for.
        scale: (channels of all layers, 1).
        shift: (channels of all layers, 1).

    Returns:
        The weight of each layer, in its shape; differentiable with respect to values, scale, shift and W0.
    """
    return list(_Combined.apply(values, layers, scale, shift, *layers.bases))


def generate(angles: Tensor, run: Run, layers: Layers, *, scale: Tensor, shift: Tensor) -> list[Tensor]:
    """`combine` of the values that circuits generate, which are never in memory all together.

    Args:
        angles: Of the circuits of all layers, (channels of all layers, depth, angles per layer).
        run: How they are simulated.
        layers: What the values are for.
        scale: (channels of all layers, 1).
        shift: (channels of all layers, 1).
    """
    return list(_Generated.apply(angles, run, layers, scale, shift, *layers.bases))


class _Combined(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, layers: Layers, scale: Tensor, shift: Tensor, *bases: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.layers = layers
        ctx.save_for_backward(values, scale)
        weights = _Weights(layers, bases, scale, shift, columns=values.shape[1])
        for channels in _blocks(weights, values):
            weights.take(channels, values[channels])
        return weights.finished()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *by_weights: Tensor) -> tuple[Any, ...]:
        values, scale = ctx.saved_tensors
        gradients = _Gradients(ctx.layers, by_weights, scale, columns=values.shape[1])
        by_values = torch.empty_like(values)
        for channels in _blocks(gradients, values):
            by_values[channels] = gradients.gradient(channels, values[channels].clone)
        return by_values, None, gradients.by_scale, gradients.by_shift, *by_weights


class _Generated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, angles: Tensor, run: Run, layers: Layers, scale: Tensor, shift: Tensor, *bases: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.run, ctx.layers = run, layers
        ctx.save_for_backward(angles, scale)
        weights = _Weights(layers, bases, scale, shift, columns=run.outputs)
        ctx.kept = run.forward(angles, weights, keep=any(ctx.needs_input_grad))
        return weights.finished()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *by_weights: Tensor) -> tuple[Any, ...]:
        angles, scale = ctx.saved_tensors
        gradients = _Gradients(ctx.layers, by_weights, scale, columns=ctx.run.outputs)
        by_angle = ctx.run.backward(angles, gradients, ctx.kept)
        return by_angle, None, None, gradients.by_scale, gradients.by_shift, *by_weights


def _blocks(channels: Blocks, values: Tensor) -> Iterator[slice]:
    return channels.blocks(0, len(values), most=rows_at_once(values, numbers=values.shape[1]))


class _Channels:
    """Channels of all layers one after the other, worked on in blocks of a few channels of one layer.

    Attributes:
        rows: Tensors of each layer that have its channels as an axis, (channels, numbers) or
            (channels, inputs, kernel volume).
    """

    def __init__(self, layers: Layers, tensors: Sequence[Tensor], scale: Tensor, *, columns: int) -> None:
        """For W0 of each layer, or the gradient by its weight; values have so many columns."""
        self.rows = [view.by_channel(tensor) for view, tensor in zip(layers.views, tensors, strict=True)]
        self._starts, self._scale, self._columns = layers.starts, scale, columns
        self._ends = list(accumulate(len(rows) for rows in self.rows))

    def blocks(self, start: int, stop: int, *, most: int) -> Iterator[slice]:
        """Channels, at most so many at a time, of one layer each."""
        self._memory = self._scale.new_empty(2, most, self._columns)
        while start < stop:
            end = min(start + most, stop, self._ends[bisect_right(self._ends, start)])
            yield slice(start, end)
            start = end

    def buffer(self, channels: slice) -> Tensor:
        """Memory that is used again for the next channels."""
        return self._memory[0, : channels.stop - channels.start]

    def _spare(self, channels: slice) -> Tensor:
        """As much again, for results in between."""
        return self._memory[1, : channels.stop - channels.start]

    def _place(self, channels: slice) -> tuple[int, slice]:
        """The layer of channels, and where they are in it."""
        layer = bisect_right(self._ends, channels.start)
        before = self._ends[layer] - len(self.rows[layer])
        return layer, slice(channels.start - before, channels.stop - before)


class _Weights(_Channels):
    """Takes values, makes weights."""

    def __init__(self, layers: Layers, bases: Sequence[Tensor], scale: Tensor, shift: Tensor, *, columns: int) -> None:
        super().__init__(layers, bases, scale, columns=columns)
        self._views, self._shift = layers.views, shift
        self._weights = [torch.empty_like(base, memory_format=torch.contiguous_format) for base in bases]
        self._results = [
            view.by_channel(weight) if view.is_strided else torch.empty_like(rows)
            for view, weight, rows in zip(layers.views, self._weights, self.rows, strict=True)
        ]

    def take(self, channels: slice, values: Tensor) -> None:
        """Make the weights of these channels."""
        layer, rows = self._place(channels)
        base = self.rows[layer][rows]
        numbers = base[0].numel()
        changed = values[:, :numbers]
        if self._starts is not None:
            changed = torch.sub(changed, self._starts[layer][rows], out=self._spare(channels)[:, :numbers])
        scale, shift = (_like(sizes[channels], base) for sizes in (self._scale, self._shift))
        out = torch.addcmul(base, _like(changed, base), scale, out=self._results[layer][rows])
        out.add_(shift)

    def finished(self) -> tuple[Tensor, ...]:
        """The weights, each in the shape of its layer."""
        return tuple(
            weight if view.is_strided else view.to_weight(rows)
            for view, weight, rows in zip(self._views, self._weights, self._results, strict=True)
        )


class _Gradients(_Channels):
    """Knows the gradient by the weights, makes those by values, scales and shifts.

    Attributes:
        by_scale: (channels of all layers, 1).
        by_shift: (channels of all layers, 1).
    """

    def __init__(self, layers: Layers, by_weights: Sequence[Tensor], scale: Tensor, *, columns: int) -> None:
        super().__init__(layers, by_weights, scale, columns=columns)
        self.by_scale, self.by_shift = torch.empty_like(scale), torch.empty_like(scale)

    def gradient(self, channels: slice, values: Callable[[], Tensor]) -> Tensor:
        """Gradient by the values of these channels, which `values` computes and which are overwritten."""
        layer, rows = self._place(channels)
        above = self.rows[layer][rows]
        numbers = above[0].numel()
        by_values = self._spare(channels)
        needed = by_values[:, :numbers]
        if above.ndim > 2:
            # One pass over memory in steps, instead of three.
            _like(needed, above).copy_(above)
            above = needed
        changed = values()[:, :numbers]
        if self._starts is not None:
            changed.sub_(self._starts[layer][rows])
        torch.sum(changed.mul_(above), dim=1, keepdim=True, out=self.by_scale[channels])
        torch.sum(above, dim=1, keepdim=True, out=self.by_shift[channels])
        torch.mul(above, self._scale[channels], out=needed)
        by_values[:, numbers:].zero_()
        return by_values


def _like(block: Tensor, rows: Tensor) -> Tensor:
    """A block (channels, numbers), or (channels, 1), with the axes of rows of a layer."""
    sizes = rows.shape[1:] if block.shape[1] > 1 else [1] * (rows.ndim - 1)
    return block.unflatten(1, sizes)
