"""From angles to measured values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from HQCSegmentLib.qpg.engine.run import Run


def simulate(angles: Tensor, run: Run) -> Tensor:
    """Measured values of a batch of circuits.

    Args:
        angles: (batch, depth, angles per layer), radians.
        run: Made for these angles, see `Run.of`.

    Returns:
        (batch, at least as many values as are needed), real; differentiable with respect to angles.
    """
    return _Values.apply(angles, run)


class _Values(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, angles: Tensor, run: Run) -> Tensor:
        results = angles.new_empty(len(angles), run.outputs)
        ctx.run, ctx.kept = run, run.forward(angles, _Table(results), keep=ctx.needs_input_grad[0])
        ctx.save_for_backward(angles)
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (angles,) = ctx.saved_tensors
        return ctx.run.backward(angles, _Table(gradient), ctx.kept), None


@dataclass(frozen=True)
class _Table:
    """All values, or the gradient by them, (batch, values)."""

    values: Tensor

    def blocks(self, start: int, stop: int, *, most: int) -> Iterator[slice]:
        return (slice(first, min(first + most, stop)) for first in range(start, stop, most))

    def buffer(self, circuits: slice) -> Tensor:
        return self.values[circuits]

    def take(self, circuits: slice, values: Tensor) -> None:
        """They are where they belong."""

    def gradient(self, circuits: slice, values: Callable[[], Tensor]) -> Tensor:
        return self.values[circuits]
