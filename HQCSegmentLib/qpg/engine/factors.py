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

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from HQCSegmentLib.qpg.circuits import CNOT, CZ
from HQCSegmentLib.qpg.engine.matrices import local_matrices, one_qubit_states, product_state
from HQCSegmentLib.qpg.engine.monomial import branches, crossings
from HQCSegmentLib.qpg.engine.program import Fixed, Local, Program
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
    start, *later = program.stages[:stages]
    assert isinstance(start, Local)
    vectors = one_qubit_states(start, angles, uniform=uniform)
    left, right = (product_state(part).unsqueeze(2) for part in (vectors[:, :cut], vectors[:, cut:]))
    turned = [stage for stage in later if isinstance(stage, Local)]
    groups = chunks(cut)
    ours = len(groups)
    groups = groups + [slice(cut + group.start, cut + group.stop) for group in chunks(program.qubits - cut)]
    turns = iter(local_matrices(turned, groups, angles) if turned else ())
    for stage in later:
        if isinstance(stage, Fixed):
            ends = ((left, 0, cut), (right, cut, program.qubits))
            left, right = (
                _Branching.apply(half, _fetches(stage.gates, first, stop, half.device)) for half, first, stop in ends
            )
        else:
            matrices = next(turns)
            left, right = _turn(left, matrices[:ours]), _turn(right, matrices[ours:])
    return left, right


class _Branching(torch.autograd.Function):
    """(batch, size, terms) -> (batch, size, branches * terms): a half in each of the products."""

    @staticmethod
    def forward(ctx: Any, half: Tensor, fetches: _Fetches) -> Tensor:
        ctx.fetches = fetches
        chosen = half.index_select(1, fetches.index).unflatten(1, (half.shape[1], -1))
        return (chosen * fetches.factor.to(half.real.dtype)).flatten(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        fetches = ctx.fetches
        branches, size, _ = fetches.back_factor.shape
        by_place = gradient.unflatten(2, (branches, -1)).flatten(1, 2)
        fetched = by_place.index_select(1, fetches.back).unflatten(1, (branches, size))
        return (fetched * fetches.back_factor.to(gradient.real.dtype)).sum(dim=1), None


@dataclass(frozen=True)
class _Fetches:
    """Where each product of a half takes its amplitudes from, and where their gradients are.

    Attributes:
        index: (size * branches,), of amplitudes of the half.
        factor: (size, branches, 1), int8.
        back: (branches * size,), of amplitudes of the products: every branch is a permutation, and fetching by its
            inverse is much faster than adding to where it came from.
        back_factor: (branches, size, 1), int8.
    """

    index: Tensor
    factor: Tensor
    back: Tensor
    back_factor: Tensor


@lru_cache(maxsize=256)
@torch.inference_mode(mode=False)  # kept, and later used in backward passes
def _fetches(gates: tuple[CNOT | CZ, ...], first: int, stop: int, device: torch.device) -> _Fetches:
    """Arguments are those of `branches`."""
    index, factor = branches(gates, first, stop, device)
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
