"""What every circuit family tells about itself."""

from __future__ import annotations

from typing import Protocol

from HQCSegmentLib.qpg.circuits.entanglement import Entanglement
from HQCSegmentLib.qpg.circuits.gates import Gate


class Ansatz(Protocol):
    """A circuit family. Qubit 0 is the most significant bit of a basis state's number.

    Every family has a start from which all 2**n outcomes are equally probable: the angles `start_angles`. Either
    all circuits begin with H on every qubit, and the start is zero; or they begin with RY on every qubit, and the
    start is pi/2 in these and zero elsewhere.
    """

    @property
    def name(self) -> str:
        """Family and entanglement, joined by an underscore."""
        ...

    @property
    def entanglement(self) -> Entanglement:
        """How qubits are entangled."""
        ...

    @property
    def is_real(self) -> bool:
        """Whether all amplitudes are real, for any angles."""
        ...

    def angles_per_layer(self, qubits: int) -> int:
        """Angles of one layer of a circuit; a circuit's angles are a table (depth, angles per layer)."""
        ...

    def gates(self, *, qubits: int, depth: int) -> list[Gate]:
        """All gates in the order in which they act on |0...0>."""
        ...

    def start_angles(self, *, qubits: int, depth: int) -> list[list[float]]:
        """Angles, depth rows of `angles_per_layer` radians, that give the uniform distribution."""
        ...
