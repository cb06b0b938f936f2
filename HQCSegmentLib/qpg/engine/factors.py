"""The beginning of a circuit as a sum of products of two halves of the qubits.

A fixed two-qubit gate (CNOT, CZ) between the halves is a sum of two products. So after every entangler the state is a
sum of 2**k times as many products, where k gates cross the cut: k is 2 for a ring, 1 for a chain, 0 without.

    state = sum_t left_t (x) right_t,    t = 1 .. 2**(k * entanglers)

The halves have 2**(n/2) amplitudes each and cost next to nothing; the full state is one matrix product. This is the
Schroedinger-Feynman method (Aaronson and Chen, arXiv:1612.05903, section 4). It is exact, not an approximation. Up to
MAX_TERMS products it needs fewer operations and memory passes than a state vector; whatever comes later in the
circuit acts on the state vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from HQCSegmentLib.qpg.circuits import CNOT, CZ
from HQCSegmentLib.qpg.engine.matrices import angle_places, local_matrices, one_qubit_states, product_state
from HQCSegmentLib.qpg.engine.monomial import branches, crossings
from HQCSegmentLib.qpg.engine.program import Fixed, Local, Program
from HQCSegmentLib.qpg.engine.tables import table
from HQCSegmentLib.qpg.engine.windows import chunks

MAX_TERMS = 16
"""Most products by which a state begins: a ring of depth 4 takes twice as long with 64 (measured, 12 and 13 qubits)."""


def stages_in_factors(program: Program, *, cut: int, max_terms: int = MAX_TERMS) -> int:
    """How many of the first stages are done on factors."""
    done, terms = 1, 1
    for number, stage in enumerate(program.stages[1:], start=1):
        if isinstance(stage, Fixed):
            terms *= 2 ** crossings(stage.gates, cut)
            if terms > max_terms:
                break
        elif not isinstance(stage, Local):
            break
        done = number + 1
    return done


def factors(program: Program, angles: Tensor, *, stages: int, cut: int, uniform: bool) -> tuple[Tensor, Tensor]:
    """Factors of the state after the first stages.

    Args:
        program: The circuit.
        angles: (batch, depth, angles per layer), radians.
        stages: How many stages, see `stages_in_factors`.
        cut: Number of qubits of the left half; 0 < cut <= qubits.
        uniform: Start from the uniform state scaled by 2**(qubits / 2), all amplitudes exactly 1, instead of |0...0>.

    Returns:
        left of shape (batch, 2**cut, terms) and right of shape (batch, 2**(qubits - cut), terms); amplitude [a, b] of
        the state is the sum over terms of left[a] * right[b].
    """
    halves = _Halves(program, stages, cut, uniform)
    return _RealFactors.apply(angles, halves) if program.is_real else halves.passed(angles)[-1].factors


@dataclass(frozen=True)
class _Passed:
    """What both halves are after a stage.

    Attributes:
        factors: Left and right half, each (batch, amplitudes, terms).
        matrices: Where they were turned, of the groups of qubits of the left and of the right half.
    """

    factors: tuple[Tensor, Tensor]
    matrices: tuple[list[Tensor], list[Tensor]] | None = None


@dataclass(frozen=True)
class _Halves:
    """How both halves of circuits go through their first stages; attributes are the arguments of `factors`."""

    program: Program
    stages: int
    cut: int
    uniform: bool

    @property
    def parts(self) -> tuple[slice, slice]:
        """Qubits of the left and of the right half."""
        return slice(0, self.cut), slice(self.cut, self.program.qubits)

    def passed(self, angles: Tensor) -> list[_Passed]:
        """Both halves after every stage."""
        start, *later = self.program.stages[: self.stages]
        assert isinstance(start, Local)
        vectors = one_qubit_states(start, angles, uniform=self.uniform)
        left, right = (product_state(vectors[:, part]).unsqueeze(2) for part in self.parts)
        result = [_Passed((left, right))]
        turned = [stage for stage in later if isinstance(stage, Local)]
        of_left, of_right = (_groups(part) for part in self.parts)
        turns = iter(local_matrices(turned, of_left + of_right, angles) if turned else ())
        for stage in later:
            if isinstance(stage, Fixed):
                fetches = self.fetches(stage, angles)
                left, right = (_Branching.apply(half, of) for half, of in zip((left, right), fetches, strict=True))
                result.append(_Passed((left, right)))
            else:
                matrices = next(turns)
                sides = matrices[: len(of_left)], matrices[len(of_left) :]
                left, right = (_turn(half, of) for half, of in zip((left, right), sides, strict=True))
                result.append(_Passed((left, right), sides))
        return result

    def fetches(self, stage: Fixed, like: Tensor) -> tuple[_Fetches, _Fetches]:
        """What an entangler does to the left and to the right half."""
        left, right = (_fetches(stage.gates, part.start, part.stop, like.device, like.dtype) for part in self.parts)
        return left, right


def _groups(part: slice) -> list[slice]:
    """Groups of neighbouring qubits of a half that are turned together."""
    return [slice(part.start + group.start, part.start + group.stop) for group in chunks(part.stop - part.start)]


class _RealFactors(torch.autograd.Function):
    """Factors of circuits of RY and fixed gates, with their gradient by the adjoint method.

    d RY(a) / da = J RY(a) / 2 with J = ((0, -1), (1, 0)), which commutes with RY. So the gradient by an angle is half
    of the scalar product of the gradient by the half after the stage with J, on that qubit, times this half; and the
    gradient goes on through the transposed matrices (Jones and Gacon, arXiv:2009.02823). These are far fewer operations
    than the graph of how the matrices were made has.
    """

    @staticmethod
    def forward(ctx: Any, angles: Tensor, halves: _Halves) -> tuple[Tensor, Tensor]:
        ctx.halves, ctx.passed = halves, halves.passed(angles)
        ctx.shape = angles.shape
        # Not the kept ones themselves, which would keep their own graph.
        left, right = (half.view_as(half) for half in ctx.passed[-1].factors)
        return left, right

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        halves: _Halves = ctx.halves
        by_angle = gradients[0].new_zeros(ctx.shape)
        stages = halves.program.stages[: halves.stages]
        for stage, passed in zip(reversed(stages), reversed(ctx.passed), strict=True):
            if isinstance(stage, Fixed):
                fetches = halves.fetches(stage, by_angle)
                gradients = tuple(_fetched_back(by, of) for by, of in zip(gradients, fetches, strict=True))
                continue
            assert isinstance(stage, Local)
            by_half = []
            before = []
            for side, part in enumerate(halves.parts):
                matrices = passed.matrices[side] if passed.matrices else None
                sizes = [group.stop - group.start for group in _groups(part)]
                by, gradient = _turned_back(gradients[side], passed.factors[side], sizes, matrices)
                by_half += by
                before.append(gradient)
            gradients = tuple(before)
            by_qubit = torch.cat(by_half, dim=1)
            # Angles of one qubit that follow each other without an entangler add up.
            for gates in zip(*stage.gates, strict=True):
                places = angle_places(gates, ctx.shape[2], by_angle.device)
                by_angle.view(len(by_angle), -1).index_copy_(1, places, by_qubit)
        return by_angle, None


def _turned_back(
    gradient: Tensor, half: Tensor, sizes: Sequence[int], matrices: Sequence[Tensor] | None
) -> tuple[list[Tensor], Tensor]:
    """From the gradient by a half after RY on every qubit to those by the angles and by the half before.

    Args:
        gradient: By the half, (batch, 2**qubits, terms).
        half: After the stage, of the same shape.
        sizes: Numbers of qubits of the groups.
        matrices: Of the groups; None where nothing came before.

    Returns:
        By the angles of each group, (batch, qubits of the group); and by the half before, as `gradient`.
    """
    shape = half.shape
    by_angles = []
    for number, size in enumerate(sizes):
        # As in `_turn`, the first qubits become the last.
        gradient, half = (tensor.reshape(shape[0], 2**size, -1) for tensor in (gradient, half))
        correlation = torch.bmm(gradient, half.mT).flatten(1)
        by_angles.append(correlation @ _generators(size, half.dtype, half.device))
        if matrices is not None:
            gradient = matrices[number].mT @ gradient
        gradient, half = (tensor.unflatten(2, (-1, shape[2])).transpose(1, 2) for tensor in (gradient, half))
    return by_angles, gradient.reshape(shape)


@table
def _generators(qubits: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """J / 2 on each qubit, by entries, (4**qubits, qubits)."""
    result = torch.zeros(2**qubits, 2**qubits, qubits, dtype=dtype)
    for qubit in range(qubits):
        bit = 2 ** (qubits - 1 - qubit)
        for row in range(2**qubits):
            result[row, row ^ bit, qubit] = 0.5 if row & bit else -0.5
    return result.flatten(0, 1).to(device)


class _Branching(torch.autograd.Function):
    """(batch, size, terms) -> (batch, size, branches * terms): a half in each of the products."""

    @staticmethod
    def forward(ctx: Any, half: Tensor, fetches: _Fetches) -> Tensor:
        ctx.fetches = fetches
        chosen = half.index_select(1, fetches.index).unflatten(1, (half.shape[1], -1))
        return (chosen * fetches.factor).flatten(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _fetched_back(gradient, ctx.fetches), None


def _fetched_back(gradient: Tensor, fetches: _Fetches) -> Tensor:
    """Gradient by a half before it branched."""
    branches, size, _ = fetches.back_factor.shape
    by_place = gradient.unflatten(2, (branches, -1)).flatten(1, 2)
    fetched = by_place.index_select(1, fetches.back).unflatten(1, (branches, size))
    return (fetched * fetches.back_factor).sum(dim=1)


@dataclass(frozen=True)
class _Fetches:
    """Where each product of a half takes its amplitudes from, and where their gradients are.

    Attributes:
        index: (size * branches,), of amplitudes of the half.
        factor: (size, branches, 1), of the type of angles.
        back: (branches * size,), of amplitudes of the products: every branch is a permutation, and fetching by its
            inverse is much faster than adding to where it came from.
        back_factor: (branches, size, 1), likewise.
    """

    index: Tensor
    factor: Tensor
    back: Tensor
    back_factor: Tensor


@table
def _fetches(gates: tuple[CNOT | CZ, ...], first: int, stop: int, device: torch.device, dtype: torch.dtype) -> _Fetches:
    """Arguments are those of `branches`, and the type of factors."""
    index, factor = branches(gates, first, stop, device)
    factor = factor.to(dtype)
    inverse = torch.argsort(index, dim=1)
    places = inverse * len(index) + torch.arange(len(index), device=device).unsqueeze(1)
    return _Fetches(
        index.t().flatten(), factor.t().unsqueeze(2), places.flatten(), factor.gather(1, inverse).unsqueeze(2)
    )


def _turn(half: Tensor, matrices: list[Tensor]) -> Tensor:
    """One matrix for each group of neighbouring qubits of a half, (batch, size, terms)."""
    batch, size, terms = half.shape
    for matrix in matrices:
        # The first qubits are turned and then become the last; after all groups the order is as before.
        turned = (matrix @ half.reshape(batch, matrix.shape[2], -1)).unflatten(2, (-1, terms))
        half = turned.transpose(1, 2)
    return half.reshape(batch, size, terms)
