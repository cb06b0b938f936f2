"""RY rotations with a ring of CNOTs between layers. Amplitudes stay real.

This is the "real amplitudes" circuit with circular entanglement. After every layer of rotations but the last,
CNOT(q, (q + 1) mod n) acts for q = 0 .. n-1 in this order; one qubit has none.
"""

from __future__ import annotations

from HQCSegmentLib.qpg.circuits.description import CNOT, RY, Gate


class RyCnotRing:
    """depth x (RY on every qubit), with a CNOT ring between the layers."""

    name = "ry_cnot_ring"

    def gates(self, *, qubits: int, depth: int) -> list[Gate]:
        """All gates in order."""
        gates: list[Gate] = []
        for layer in range(depth):
            gates += [RY(qubit, layer) for qubit in range(qubits)]
            if layer < depth - 1:
                gates += self.entangler(qubits=qubits)
        return gates

    def entangler(self, *, qubits: int) -> list[CNOT]:
        """The ring in order."""
        if qubits == 1:
            return []
        return [CNOT(qubit, (qubit + 1) % qubits) for qubit in range(qubits)]
