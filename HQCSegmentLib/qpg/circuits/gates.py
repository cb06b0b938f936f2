"""The gates of which circuits are described. Conventions are PennyLane's.

A gate with parameters takes its angles (radians) from the circuit's table of angles, (depth, angles per layer): row
`layer`, columns `index`, `index + 1`, ...
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class H:
    """Hadamard gate."""

    qubit: int


@dataclass(frozen=True)
class RY:
    """Rotation about y, exp(-i angle Y / 2)."""

    qubit: int
    layer: int
    index: int


@dataclass(frozen=True)
class RZ:
    """Rotation about z, exp(-i angle Z / 2)."""

    qubit: int
    layer: int
    index: int


@dataclass(frozen=True)
class U3:
    """Any one-qubit gate, by three angles theta, phi, delta: e^(i (phi + delta) / 2) RZ(phi) RY(theta) RZ(delta)."""

    qubit: int
    layer: int
    index: int


@dataclass(frozen=True)
class CNOT:
    """Controlled NOT."""

    control: int
    target: int


@dataclass(frozen=True)
class CZ:
    """Controlled Z."""

    control: int
    target: int


@dataclass(frozen=True)
class CU3:
    """Controlled U3, three angles."""

    control: int
    target: int
    layer: int
    index: int


Gate = H | RY | RZ | U3 | CNOT | CZ | CU3
