"""RZ and RY rotations with CZ gates between the layers. Amplitudes are complex.

The circuit of Quantum-Train's PennyLane version (arXiv:2402.16465), but RZ comes before RY: after H, and before the
measurement, no angle is without effect then. H on every qubit; CZ gates before every layer of rotations but the first.
CZ gates commute, so that a ring of two qubits, CZ(0, 1) and CZ(1, 0), does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from HQCSegmentLib.qpg.circuits.entanglement import Entanglement, pairs
from HQCSegmentLib.qpg.circuits.gates import CZ, RY, RZ, Gate, H


@dataclass(frozen=True)
class RyRzCz:
    """H, then depth x (RZ and RY on every qubit), with CZ gates between the layers."""

    entanglement: Entanglement
    is_real = False

    @property
    def name(self) -> str:
        """Name in `ANSATZES`."""
        return f"ryrz_cz_{self.entanglement}"

    def angles_per_layer(self, qubits: int) -> int:
        """The angles of RZ on all qubits, then those of RY."""
        return 2 * qubits

    def gates(self, *, qubits: int, depth: int) -> list[Gate]:
        """All gates in order."""
        gates: list[Gate] = [H(qubit) for qubit in range(qubits)]
        for layer in range(depth):
            if layer > 0:
                gates += [CZ(*pair) for pair in pairs(self.entanglement, qubits=qubits, layer=layer)]
            gates += [RZ(qubit, layer, qubit) for qubit in range(qubits)]
            gates += [RY(qubit, layer, qubits + qubit) for qubit in range(qubits)]
        return gates

    def start_angles(self, *, qubits: int, depth: int) -> list[list[float]]:
        """Zero: H makes the uniform state, of which CZ changes only signs."""
        return [[0.0] * self.angles_per_layer(qubits) for _ in range(depth)]
