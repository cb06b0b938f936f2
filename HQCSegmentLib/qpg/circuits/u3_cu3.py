"""Blocks of U3 and controlled U3. Amplitudes are complex.

The blocks of Quantum-Train's TorchQuantum version (arXiv:2402.16465). H on every qubit; in every layer U3 on every
qubit, then CU3 from qubits to the next.
"""

from __future__ import annotations

from dataclasses import dataclass

from HQCSegmentLib.qpg.circuits.entanglement import Entanglement, pairs
from HQCSegmentLib.qpg.circuits.gates import CU3, U3, Gate, H


@dataclass(frozen=True)
class U3Cu3:
    """H, then depth x (U3 on every qubit, CU3 along ring, rings or chain)."""

    entanglement: Entanglement
    is_real = False

    @property
    def name(self) -> str:
        """Name in `ANSATZES`."""
        return f"u3_cu3_{self.entanglement}"

    def angles_per_layer(self, qubits: int) -> int:
        """Three angles (theta, phi, delta) of U3 on qubit after qubit, then three of CU3 after CU3."""
        return 3 * (qubits + len(pairs(self.entanglement, qubits=qubits)))

    def gates(self, *, qubits: int, depth: int) -> list[Gate]:
        """All gates in order."""
        gates: list[Gate] = [H(qubit) for qubit in range(qubits)]
        for layer in range(depth):
            gates += [U3(qubit, layer, 3 * qubit) for qubit in range(qubits)]
            for number, pair in enumerate(pairs(self.entanglement, qubits=qubits, layer=layer)):
                gates.append(CU3(*pair, layer, 3 * (qubits + number)))
        return gates

    def start_angles(self, *, qubits: int, depth: int) -> list[list[float]]:
        """Zero: H makes the uniform state, and U3 and CU3 by zero do nothing."""
        return [[0.0] * self.angles_per_layer(qubits) for _ in range(depth)]
