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

from torch import Tensor

from HQCSegmentLib.qpg.engine.halves import Halves
from HQCSegmentLib.qpg.engine.monomial import crossings
from HQCSegmentLib.qpg.engine.program import Fixed, Local, Program
from HQCSegmentLib.qpg.engine.real_factors import RealFactors

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
    halves = Halves(program, stages, cut, uniform)
    return RealFactors.apply(angles, halves) if program.is_real else halves.finished(halves.passed(angles)[-1])
