"""Named sets of gates that a circuit can be rewritten into: what a quantum computer offers."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from HQCSegmentLib.qpg.errors import QPGError

TWO_QUBIT_COST = 10
"""Of several ways to rewrite a gate the cheapest is taken; two-qubit gates take longest and err most."""

GATE_SETS: dict[str, dict[str, float]] = {
    # The usual set of simulators and textbooks.
    "rotations-cnot": {"RX": 1, "RY": 1, "RZ": 1, "CNOT": TWO_QUBIT_COST},
    # Superconducting processors of IBM of the Heron family.
    "ibm": {"RZ": 1, "SX": 1, "X": 1, "CZ": TWO_QUBIT_COST},
    # Clifford gates, which error-corrected machines do cheaply, and rotations, which they do not.
    "clifford-rotations": {"Hadamard": 1, "S": 1, "Adjoint(S)": 1, "RZ": 1, "CNOT": TWO_QUBIT_COST},
}
"""Costs of the gates, by PennyLane's names, of each set."""


def rewritten(tape: Any, gate_set: str) -> Any:
    """A recorded circuit in the gates of a set, without merging neighbouring gates; global phases are dropped.

    Args:
        tape: PennyLane `QuantumScript`.
        gate_set: Key of `GATE_SETS`.

    Raises:
        QPGError: for an unknown set.
    """
    import pennylane as qml
    from pennylane.decomposition import toggle_graph_ctx

    if gate_set not in GATE_SETS:
        msg = f"`gate_set` must be one of {', '.join(GATE_SETS)}, got {gate_set!r}"
        raise QPGError(msg)
    with toggle_graph_ctx(True):
        (result,), _ = qml.transforms.decompose(
            tape, gate_set={**GATE_SETS[gate_set], "GlobalPhase": 0}, alt_decomps=_rules()
        )
    return result.copy(operations=[operation for operation in result.operations if operation.wires])


@cache
def _rules() -> dict[Any, list[Any]]:
    """Ways to rewrite gates, up to a global phase, that PennyLane 0.45 does not know itself."""
    import pennylane as qml

    @qml.register_resources({qml.RZ: 2, qml.SX: 2})
    def rotation(theta: Any, wires: Any, **_: Any) -> None:
        qml.SX(wires)
        qml.RZ(theta + math.pi, wires=wires)
        qml.SX(wires)
        qml.RZ(math.pi, wires=wires)

    @qml.register_resources({qml.RZ: 2, qml.SX: 1})
    def hadamard(wires: Any, **_: Any) -> None:
        qml.RZ(math.pi / 2, wires=wires)
        qml.SX(wires)
        qml.RZ(math.pi / 2, wires=wires)

    @qml.register_resources({qml.RZ: 2, qml.RY: 1})
    def one_qubit(theta: Any, phi: Any, delta: Any, wires: Any, **_: Any) -> None:
        qml.RZ(delta, wires=wires)
        qml.RY(theta, wires=wires)
        qml.RZ(phi, wires=wires)

    def between_hadamards(gate: Any) -> Any:
        @qml.register_resources({qml.Hadamard: 2, gate: 1})
        def rule(wires: Any, **_: Any) -> None:
            qml.Hadamard(wires[1])
            gate(wires)
            qml.Hadamard(wires[1])

        return rule

    return {
        qml.RY: [rotation],
        qml.Hadamard: [hadamard],
        qml.U3: [one_qubit],
        qml.CNOT: [between_hadamards(qml.CZ)],
        qml.CZ: [between_hadamards(qml.CNOT)],
    }
