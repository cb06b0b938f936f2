"""From factors and matrices to what is measured, a few circuits at a time, and back.

The backward pass needs nothing but the final states, and not even these where no operations follow the factors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, Protocol

import torch
from torch import Tensor

from HQCSegmentLib.qpg.blocks import rows_at_once
from HQCSegmentLib.qpg.engine.windows import Operation
from HQCSegmentLib.qpg.walsh import walsh

Measure = Literal["squares", "deviations", "differences", "products"]
"""What is read from amplitudes s: |s|^2; |s|^2 - 1; half the difference, or the product, of the halves of the state.

differences: (|s0|^2 - |s1|^2) / 2; products: Re(s0 conj(s1)). s0 and s1 have first qubit 0 and 1.
"""


class Blocks(Protocol):
    """How circuits of a batch are put together, a few at a time, so that their values stay in the cache."""

    def blocks(self, start: int, stop: int, *, most: int) -> Iterator[slice]:
        """Circuits from `start` to before `stop`, at most so many at a time."""

    def buffer(self, circuits: slice) -> Tensor:
        """Memory that the values of these circuits are written to, (circuits, values)."""


class Destination(Blocks, Protocol):
    """Where measured values go."""

    def take(self, circuits: slice, values: Tensor) -> None:
        """Use the values of these circuits, which are in their buffer."""


class GradientSource(Blocks, Protocol):
    """Where the gradient by measured values comes from."""

    def gradient(self, circuits: slice, values: Callable[[], Tensor]) -> Tensor:
        """Gradient by the values of these circuits, (circuits, values).

        Args:
            circuits: Numbers of the circuits.
            values: Computes their values again, into their buffer.
        """


@dataclass(frozen=True)
class Evolution:
    """States of a batch of circuits that begin as sums of products and go through operations.

    Attributes:
        left: (batch, rows, terms).
        right: (batch, columns, terms).
        steps: Operations.
        matrices: Of all operations, unitary.
        measure: What is read: rows * columns values, or half as many; real.
        transformed: Give the Walsh transform of what is read.
    """

    left: Tensor
    right: Tensor
    steps: Sequence[Operation]
    matrices: Sequence[Tensor]
    measure: Measure
    transformed: bool = False

    @property
    def tensors(self) -> list[Tensor]:
        """All that depends on angles."""
        return [self.left, self.right, *self.matrices]

    @property
    def size(self) -> int:
        """Amplitudes of a circuit."""
        return self.left.shape[1] * self.right.shape[1]

    def forward(self, destination: Destination, *, first: int, keep: bool) -> Tensor | None:
        """Measure all circuits.

        Args:
            destination: Takes the values.
            first: Number that the first of these circuits has there.
            keep: Return the final states, (batch, rows * columns), if `backward` will need them.
        """
        left, right = self.left, self.right
        finals = left.new_empty(len(left), self.size) if keep and self.steps else None
        workspace = left.new_empty(3, self._at_once, self.size)
        for circuits in self._blocks(destination, first):
            part = slice(circuits.start - first, circuits.stop - first)
            state, spare, other = workspace[:, : part.stop - part.start].unbind(0)
            _product(left[part], right[part], out=state)
            for number, (step, which) in enumerate(self._steps, start=1):
                out = finals[part] if finals is not None and number == len(self.steps) else spare
                step.forward(state, [matrix[part] for matrix in self.matrices[which]], out=out, spare=other)
                state, spare = out, state
            destination.take(circuits, self._read(state, out=destination.buffer(circuits)))
        return finals

    def backward(self, source: GradientSource, finals: Tensor | None, *, first: int) -> list[Tensor]:
        """Gradients by left, right and every matrix.

        Args:
            source: Of the gradient by what was measured.
            finals: The final states that `forward` kept.
            first: As in `forward`.
        """
        left, right = self.left, self.right
        # Products with few rows are much faster than those with few columns: factors' gradients come with terms first.
        by_left, by_right = (factor.new_empty(factor.mT.shape) for factor in (left, right))
        by_matrix = [torch.empty_like(matrix) for matrix in self.matrices]
        workspace = left.new_empty(5, self._at_once, self.size)
        earliest = next((place for place, step in enumerate(self.steps) if step.count), 0)
        for circuits in self._blocks(source, first):
            part = slice(circuits.start - first, circuits.stop - first)
            costate, spare_costate, spare, before, after = workspace[:, : part.stop - part.start].unbind(0)
            state = _product(left[part], right[part], out=before) if finals is None else finals[part]

            def values(state: Tensor = state, circuits: slice = circuits) -> Tensor:
                return self._read(state, out=source.buffer(circuits))

            gradient = source.gradient(circuits, values)
            _costate(state, self.measure, walsh(gradient) if self.transformed else gradient, out=costate)
            for place, (step, which) in reversed(list(enumerate(self._steps))):
                matrices = [matrix[part] for matrix in self.matrices[which]]
                step.gradients(state, costate, matrices, out=[by[part] for by in by_matrix[which]])
                step.backward(costate, matrices, out=spare_costate, spare=spare)
                costate, spare_costate = spare_costate, costate
                # States before the earliest matrices are not needed.
                if place > earliest:
                    step.undo(state, matrices, out=before, spare=spare)
                    state, before, after = before, after, before
            costate = costate.unflatten(1, (left.shape[1], right.shape[1]))
            torch.bmm(right[part].mT, costate.mT, out=by_left[part]).conj_physical_()
            torch.bmm(left[part].mT, costate, out=by_right[part]).conj_physical_()
        return [by_left.mT, by_right.mT, *by_matrix]

    def _read(self, state: Tensor, *, out: Tensor) -> Tensor:
        """What is measured of states."""
        _measure(state, self.measure, out=out)
        return out.copy_(walsh(out)) if self.transformed else out

    @property
    def _steps(self) -> Iterator[tuple[Operation, slice]]:
        """Operations, and which of the matrices are theirs."""
        ends = accumulate(step.count for step in self.steps)
        return ((step, slice(end - step.count, end)) for step, end in zip(self.steps, ends, strict=True))

    @property
    def _at_once(self) -> int:
        """How many states are worked on at the same time; with operations several of each are in use."""
        copies = 2 if self.steps else 1
        return max(1, min(len(self.left), rows_at_once(self.left, numbers=copies * self.size)))

    def _blocks(self, blocks: Blocks, first: int) -> Iterator[slice]:
        return blocks.blocks(first, first + len(self.left), most=self._at_once)


def _product(left: Tensor, right: Tensor, *, out: Tensor) -> Tensor:
    """States that are sums of products, (batch, rows * columns)."""
    torch.bmm(left, right.transpose(1, 2), out=out.unflatten(1, (left.shape[1], right.shape[1])))
    return out


def _measure(state: Tensor, measure: Measure, *, out: Tensor) -> Tensor:
    """Write what is read from states to `out`."""
    if measure in ("squares", "deviations"):
        _square(state, out=out)
        return out.sub_(1) if measure == "deviations" else out
    zero, one = state.chunk(2, dim=1)
    if measure == "differences":
        _square(zero, out=out)
        return out.sub_(_square(one, out=torch.empty_like(out))).mul_(0.5)
    if state.is_complex():
        return torch.mul(zero.real, one.real, out=out).addcmul_(zero.imag, one.imag)
    return torch.mul(zero, one, out=out)


def _square(state: Tensor, *, out: Tensor) -> Tensor:
    if not state.is_complex():
        return torch.mul(state, state, out=out)
    return torch.mul(state.real, state.real, out=out).addcmul_(state.imag, state.imag)


def _costate(state: Tensor, measure: Measure, gradient: Tensor, *, out: Tensor) -> None:
    """Conjugate of the gradient by the states, from the gradient by what was measured."""
    if measure in ("squares", "deviations"):
        torch.mul(state, gradient, out=out).mul_(2)
    else:
        zero, one = state.chunk(2, dim=1)
        first, second = out.chunk(2, dim=1)
        torch.mul(one if measure == "products" else zero, gradient, out=first)
        torch.mul(zero if measure == "products" else one, gradient, out=second)
        if measure == "differences":
            second.neg_()
    out.conj_physical_()
