"""Which qubits are entangled with which."""

from __future__ import annotations

from typing import Literal, get_args

Entanglement = Literal["ring", "rings", "chain", "none"]
ENTANGLEMENTS: tuple[Entanglement, ...] = get_args(Entanglement)


def pairs(entanglement: Entanglement, *, qubits: int, layer: int = 1) -> list[tuple[int, int]]:
    """Control and target of the two-qubit gates of one layer, in order.

    Two halves of a circuit that are joined by one gate a layer, not by the two of a ring, are a sum of half as many
    products after it: `rings` of depth 3 cost about as much as a ring of depth 2, and change weights in as many
    directions as a ring of their depth does, which a chain does not (Docs/results.md).

    Args:
        entanglement: ring, (q, (q + 1) mod n) for q = 0 .. n-1; chain, the same without the closing (n-1, 0); rings,
            the first and the second half of the qubits as a ring each, joined by one gate: from the last qubit of the
            first ring to the first of the second in odd layers, and the other way round in even ones; none, no pairs.
        qubits: n. One qubit has no pairs; a ring of two has (0, 1) and (1, 0). The first half of an odd number is the
            larger one.
        layer: Number of the layer; only those of `rings` differ.
    """
    if entanglement == "none" or qubits == 1:
        return []
    if entanglement == "chain":
        return _chain(0, qubits)
    if entanglement == "ring":
        return _ring(0, qubits)
    middle = (qubits + 1) // 2
    first, second = _ring(0, middle), _ring(middle, qubits)
    if layer % 2:
        return [*first, (middle - 1, middle), *second]
    return [*second, (qubits - 1, 0), *first]


def _chain(start: int, stop: int) -> list[tuple[int, int]]:
    return [(qubit, qubit + 1) for qubit in range(start, stop - 1)]


def _ring(start: int, stop: int) -> list[tuple[int, int]]:
    return [*_chain(start, stop), (stop - 1, start)] if stop - start > 1 else []
