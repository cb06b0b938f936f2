"""Circuit families (ansatzes). Each is described once; engine, QNode, drawing and counts follow from it."""

from HQCSegmentLib.qpg.circuits.description import CNOT, RY, Ansatz, Gate
from HQCSegmentLib.qpg.circuits.ry_cnot_ring import RyCnotRing

ANSATZES: dict[str, Ansatz] = {ansatz.name: ansatz for ansatz in (RyCnotRing(),)}
"""All circuit families by name."""

__all__ = ["ANSATZES", "CNOT", "RY", "Ansatz", "Gate", "RyCnotRing"]
