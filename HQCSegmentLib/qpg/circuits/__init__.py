"""Circuit families (ansatzes). Each is described once; engine, QNode, drawing and counts follow from it.

A name is a family and how its qubits are entangled: `ry_cnot_ring`, `ryrz_cz_chain`, `u3_cu3_none`, and so on.
"""

from HQCSegmentLib.qpg.circuits.ansatz import Ansatz
from HQCSegmentLib.qpg.circuits.entanglement import ENTANGLEMENTS, Entanglement, pairs
from HQCSegmentLib.qpg.circuits.gates import CNOT, CU3, CZ, RY, RZ, U3, Gate, H
from HQCSegmentLib.qpg.circuits.ry_cnot import RyCnot
from HQCSegmentLib.qpg.circuits.ryrz_cz import RyRzCz
from HQCSegmentLib.qpg.circuits.u3_cu3 import U3Cu3

ANSATZES: dict[str, Ansatz] = {
    ansatz.name: ansatz
    for family in (RyCnot, RyRzCz, U3Cu3)
    for ansatz in (family(entanglement) for entanglement in ENTANGLEMENTS)
}
"""All circuit families by name."""

__all__ = [
    "ANSATZES",
    "CNOT",
    "CU3",
    "CZ",
    "ENTANGLEMENTS",
    "RY",
    "RZ",
    "U3",
    "Ansatz",
    "Entanglement",
    "Gate",
    "H",
    "RyCnot",
    "RyRzCz",
    "U3Cu3",
    "pairs",
]
