"""Exact, batched and differentiable simulation of many small circuits that each have their own angles."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from HQCSegmentLib.qpg.circuits import ANSATZES
from HQCSegmentLib.qpg.engine import cut, reversible
from HQCSegmentLib.qpg.engine.permutations import source
from HQCSegmentLib.qpg.errors import QPGError

MAX_CUT_DEPTH = 3
"""Deepest circuit for which the cut method needs less work than the state vector (measured, Testing/Benchmarks)."""


def born_probabilities(angles: Tensor, *, ansatz: str = "ry_cnot_ring") -> Tensor:
    """Born probabilities of circuits that start at |0...0>.

    Equal to PennyLane's `qml.probs` of the same circuit (`HQCSegmentLib.qpg.qnode`) to rounding.

    Args:
        angles: (channels, depth, qubits) in radians, float32 or float64.
        ansatz: Circuit family.

    Returns:
        (channels, 2**qubits), qubit 0 the most significant bit; differentiable with respect to `angles`.

    Raises:
        QPGError: for another shape or dtype, or an unknown ansatz.

    Examples:
        >>> born_probabilities(torch.zeros(5, 2, 3)).shape
        torch.Size([5, 8])
    """
    _check(angles, ansatz)
    half = angles[:, 0] / 2
    first = torch.stack([torch.cos(half), torch.sin(half)], dim=2)
    return squared_amplitudes(first, angles[:, 1:])


def uniform_start(angles: Tensor) -> Tensor:
    """One-qubit states RY(angle) |+> times sqrt(2), so that angle 0 gives exactly (1, 1).

    A circuit of n such qubits has all amplitudes scaled by 2**(n/2): at angle 0 they are exactly 1, without a
    rounding error, which is what lets training start at W0 to the last bit.

    Args:
        angles: (batch, qubits) in radians.

    Returns:
        (batch, qubits, 2).
    """
    cosine, sine = torch.cos(angles / 2), torch.sin(angles / 2)
    return torch.stack([cosine - sine, cosine + sine], dim=2)


def squared_amplitudes(first: Tensor, later: Tensor) -> Tensor:
    """Squared amplitudes after the later layers, by whichever exact method is cheaper.

    Args:
        first: One-qubit states after the first layer, (batch, qubits, 2), of any norm.
        later: Angles of the later layers, (batch, depth - 1, qubits).

    Returns:
        (batch, 2**qubits).
    """
    qubits = first.shape[1]
    if uses_cut(qubits=qubits, depth=later.shape[1] + 1):
        return cut.squared(*cut.halves(first, later, cut=qubits // 2))
    return reversible.probabilities(first, later, _ring_source(qubits).to(first.device))


def uses_cut(*, qubits: int, depth: int) -> bool:
    """Whether circuits of this size are simulated by cutting (else by a reversible state vector)."""
    return qubits >= 2 and depth <= MAX_CUT_DEPTH


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)  # kept, and later saved for backward passes
def _ring_source(qubits: int) -> Tensor:
    return source(ANSATZES["ry_cnot_ring"].entangler(qubits=qubits), qubits=qubits)


def _check(angles: Tensor, ansatz: str) -> None:
    if ansatz not in ANSATZES:
        msg = f"`ansatz` must be one of {', '.join(ANSATZES)}, got {ansatz!r}"
        raise QPGError(msg)
    if angles.ndim != 3 or 0 in angles.shape[1:]:
        msg = f"`angles` must have shape (channels, depth, qubits), got {tuple(angles.shape)}"
        raise QPGError(msg)
    if angles.dtype not in (torch.float32, torch.float64):
        msg = f"`angles` must be float32 or float64, got {angles.dtype}"
        raise QPGError(msg)


__all__ = ["MAX_CUT_DEPTH", "born_probabilities", "squared_amplitudes", "uniform_start", "uses_cut"]
