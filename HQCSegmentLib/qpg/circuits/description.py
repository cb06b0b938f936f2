"""How a circuit family is described: a list of gates, each on numbered qubits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class RY:
    """Rotation about y by the angle at (layer, qubit) of the circuit's angles."""

    qubit: int
    layer: int


@dataclass(frozen=True)
class CNOT:
    """Controlled NOT."""

    control: int
    target: int


Gate = RY | CNOT


class Ansatz(Protocol):
    """A circuit family. Qubit 0 is the most significant bit of a basis state's number."""

    name: str

    def gates(self, *, qubits: int, depth: int) -> list[Gate]:
        """All gates in the order in which they act on |0...0>."""
        ...

    def entangler(self, *, qubits: int) -> list[CNOT]:
        """The CNOTs between two layers of rotations, in order."""
        ...
