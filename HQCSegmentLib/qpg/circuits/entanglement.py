"""Which qubits are entangled with which."""

from __future__ import annotations

from typing import Literal, get_args

Entanglement = Literal["ring", "chain", "none"]
ENTANGLEMENTS: tuple[Entanglement, ...] = get_args(Entanglement)


def pairs(entanglement: Entanglement, *, qubits: int) -> list[tuple[int, int]]:
    """Control and target of the two-qubit gates of one layer, in order.

    Args:
        entanglement: ring, (q, (q + 1) mod n) for q = 0 .. n-1; chain, the same without the closing (n-1, 0);
            none, no pairs.
        qubits: n. One qubit has no pairs; a ring of two has (0, 1) and (1, 0).
    """
    if entanglement == "none" or qubits == 1:
        return []
    closing = [(qubits - 1, 0)] if entanglement == "ring" else []
    return [(qubit, qubit + 1) for qubit in range(qubits - 1)] + closing
