"""RY rotations with CNOTs between the layers. Amplitudes stay real.

This is the "real amplitudes" circuit of variational quantum computing. QPA (arXiv:2410.09846) generates parameters
with its chain. From |0...0>: RY on every qubit; CNOTs before every further layer of RY.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from HQCSegmentLib.qpg.circuits.entanglement import Entanglement, pairs
from HQCSegmentLib.qpg.circuits.gates import CNOT, RY, Gate


@dataclass(frozen=True)
class RyCnot:
    """depth x (RY on every qubit), with CNOTs between the layers."""

    entanglement: Entanglement
    is_real = True

    @property
    def name(self) -> str:
        """Name in `ANSATZES`."""
        return f"ry_cnot_{self.entanglement}"

    def angles_per_layer(self, qubits: int) -> int:
        """One angle per qubit, in the order of the qubits."""
        return qubits

    def gates(self, *, qubits: int, depth: int) -> list[Gate]:
        """All gates in order."""
        gates: list[Gate] = []
        for layer in range(depth):
            if layer > 0:
                gates += [CNOT(*pair) for pair in pairs(self.entanglement, qubits=qubits, layer=layer)]
            gates += [RY(qubit, layer, qubit) for qubit in range(qubits)]
        return gates

    def start_angles(self, *, qubits: int, depth: int) -> list[list[float]]:
        """pi/2 in the first layer, which makes it the uniform state; 0 in the others, which CNOTs do not change."""
        return [[math.pi / 2 if layer == 0 else 0.0] * qubits for layer in range(depth)]
