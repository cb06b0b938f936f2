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

import torch
from torch import Tensor

from HQCSegmentLib.qpg.engine.matrices import kron, local_matrices
from HQCSegmentLib.qpg.engine.monomial import branches, crossings
from HQCSegmentLib.qpg.engine.program import Fixed, Local, Program
from HQCSegmentLib.qpg.engine.windows import chunks

MAX_TERMS = 16
"""Most products by which a state begins (measured, Testing/Benchmarks/qpg_engine.py)."""


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
    halves: list[Tensor] = []
    parts = (0, cut), (cut, program.qubits)
    for number, stage in enumerate(program.stages[:stages]):
        if isinstance(stage, Local):
            matrices = local_matrices(stage, angles)
            if number == 0:
                vectors = matrices.sum(3) if uniform else matrices[..., 0]
                halves = [product_state(vectors[:, first:stop]).unsqueeze(2) for first, stop in parts]
            else:
                halves = [
                    _apply(half, matrices[:, first:stop]) for half, (first, stop) in zip(halves, parts, strict=True)
                ]
        elif isinstance(stage, Fixed):
            halves = [_branch(half, stage, *part) for half, part in zip(halves, parts, strict=True)]
    return halves[0], halves[1]


def product_state(vectors: Tensor) -> Tensor:
    """Tensor product of one-qubit states, (batch, qubits, 2) -> (batch, 2**qubits); qubit 0 the most significant."""
    # From the last qubit on, so that the innermost dimension is the long one.
    state = vectors.new_ones(vectors.shape[0], 1)
    for qubit in range(vectors.shape[1] - 1, -1, -1):
        state = (vectors[:, qubit].unsqueeze(2) * state.unsqueeze(1)).flatten(1)
    return state


def _branch(half: Tensor, stage: Fixed, first: int, stop: int) -> Tensor:
    """(batch, size, terms) -> (batch, size, branches * terms): the half in each of the products."""
    index, factor = branches(stage.gates, first, stop, half.device)
    chosen = half.index_select(1, index.t().flatten()).unflatten(1, (half.shape[1], -1))
    return (chosen * factor.t().unsqueeze(2).to(half.real.dtype)).flatten(2)


def _apply(half: Tensor, matrices: Tensor) -> Tensor:
    """One matrix for every qubit of a half, (batch, size, terms) and (batch, qubits, 2, 2)."""
    shape = half.shape
    for chunk in chunks(matrices.shape[1]):
        matrix = kron(matrices[:, chunk])
        rows = half.reshape(shape[0], 2**chunk.start, matrix.shape[2], -1)
        half = torch.matmul(matrix.unsqueeze(1), rows).reshape(shape)
    return half
