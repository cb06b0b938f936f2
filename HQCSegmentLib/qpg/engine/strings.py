"""Expectation values of Pauli-Z strings, from the halves whose products a state is a sum of.

    psi = sum_t left_t (x) right_t,
    <Z**s> = sum_(t, u) W(left_t conj(left_u)) (x) W(right_t conj(right_u)),    W: Walsh transform

so that they are a sum of products as well, of as many as there are pairs of terms, and no state is ever computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from HQCSegmentLib.qpg.blocks import rows_at_once
from HQCSegmentLib.qpg.engine.evolution import Blocks, Destination, GradientSource, Measure
from HQCSegmentLib.qpg.tables import table
from HQCSegmentLib.qpg.walsh import signs

MAX_PRODUCTS = 16
"""Of more products the sum takes longer than the transform of a state's values."""


def products_of(terms: int, *, is_real: bool) -> int:
    """How many products expectation values are a sum of: pairs of terms, those of complex ones in two parts."""
    return terms * (terms + 1) // 2 if is_real else terms**2


@dataclass(frozen=True)
class Strings:
    """Expectation values of a batch of circuits, which `Run` takes like an `Evolution`.

    Attributes:
        left: (batch, products, rows), real.
        right: (batch, products, columns), real.
        factor: What the sums of products are multiplied with; None: 1.
    """

    left: Tensor
    right: Tensor
    factor: float | None

    @classmethod
    def of(cls, left: Tensor, right: Tensor, *, measure: Measure, rows: int) -> Strings:
        """Walsh transform of what is measured; differentiable.

        Args:
            left: (batch, amplitudes, terms).
            right: (batch, amplitudes, terms).
            measure: What is transformed: "differences" or "deviations".
            rows: How many rows of the result are needed.
        """
        signed = measure == "differences"
        columns = right.shape[1].bit_length() - 1
        bits = left.shape[1].bit_length() - 1 - signed + columns
        lefts, rights = _pairs(left, both_ways=True), _pairs(right)
        if left.is_complex():
            # Re(a b) = Re(a) Re(b) - Im(a) Im(b); a term with itself has no imaginary part.
            terms = left.shape[2]
            lefts = torch.cat([lefts.real, -lefts.imag[:, terms:]], dim=1)
            rights = torch.cat([rights.real, rights.imag[:, terms:]], dim=1)
        if not signed:
            # |psi|^2 - 1: one product more.
            one = torch.ones_like(lefts[:, :1]), torch.ones_like(rights[:, :1])
            lefts, rights = torch.cat([lefts, -one[0]], dim=1), torch.cat([rights, one[1]], dim=1)
        # Powers of two here, and the root of two at the very end: at the uniform state all sums are exactly zero.
        of_left = _left_signs(left.shape[1], signed, rows, bits // 2, lefts.dtype, lefts.device)
        factor = None if bits % 2 == 0 else 0.5**0.5
        return cls(lefts @ of_left, rights @ signs(columns, rights.dtype, rights.device), factor)

    @property
    def tensors(self) -> list[Tensor]:
        """All that depends on angles."""
        return [self.left, self.right]

    def forward(self, destination: Destination, *, first: int, keep: bool) -> None:
        """Measure all circuits; arguments as those of `Evolution.forward`. Nothing has to be kept."""
        for circuits in self._blocks(destination, first):
            destination.take(circuits, self._sums(circuits, first, out=destination.buffer(circuits)))

    def backward(self, source: GradientSource, finals: Tensor | None, *, first: int) -> list[Tensor]:
        """Gradients by left and right; arguments as those of `Evolution.backward`."""
        by_left, by_right = torch.empty_like(self.left), torch.empty_like(self.right)
        for circuits in self._blocks(source, first):
            part = slice(circuits.start - first, circuits.stop - first)

            def values(circuits: slice = circuits) -> Tensor:
                return self._sums(circuits, first, out=source.buffer(circuits))

            gradient = source.gradient(circuits, values).unflatten(1, (self.left.shape[2], -1))
            torch.bmm(self.right[part], gradient.mT, out=by_left[part])
            torch.bmm(self.left[part], gradient, out=by_right[part])
        if self.factor is not None:
            by_left *= self.factor
            by_right *= self.factor
        return [by_left, by_right]

    def _sums(self, circuits: slice, first: int, *, out: Tensor) -> Tensor:
        part = slice(circuits.start - first, circuits.stop - first)
        left, right = self.left[part], self.right[part]
        torch.bmm(left.mT, right, out=out.unflatten(1, (left.shape[2], right.shape[2])))
        return out if self.factor is None else out.mul_(self.factor)

    def _blocks(self, blocks: Blocks, first: int) -> Iterator[slice]:
        size = self.left.shape[2] * self.right.shape[2]
        most = max(1, min(len(self.left), rows_at_once(self.left, numbers=size)))
        return blocks.blocks(first, first + len(self.left), most=most)


def _pairs(half: Tensor, *, both_ways: bool = False) -> Tensor:
    """Products of all pairs of terms, (batch, amplitudes, terms) -> (batch, pairs, amplitudes).

    Each with itself first; then each with every later one, with `both_ways` twice, for the pair the other way round.
    """
    one, other = _choices(half.shape[2], both_ways, half.dtype, half.device)
    terms = half.mT
    # Matrix products, since their gradients are, too: adding up what was fetched is not deterministic on a GPU.
    return (one @ terms) * (other @ terms).conj()


@table
def _choices(terms: int, both_ways: bool, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which term is first and which second in every pair, (pairs, terms)."""
    first, second = torch.triu_indices(terms, terms, 1)
    itself = torch.arange(terms)
    one, other = (torch.eye(terms, dtype=dtype)[torch.cat([itself, which])] for which in (first, second))
    one[terms:] *= 2 if both_ways else 1
    return one.to(device), other.to(device)


@table
def _left_signs(
    amplitudes: int, signed: bool, rows: int, halvings: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """What the left pairs are multiplied with, (amplitudes, rows), halved so often; the first qubit may be the sign."""
    matrix = signs(amplitudes.bit_length() - 1 - signed, dtype, device)[:, :rows] * 2.0**-halvings
    return torch.cat([matrix, -matrix]) * 0.5 if signed else matrix
