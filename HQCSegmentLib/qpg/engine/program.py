"""What an engine runs: a circuit's gates, sorted into stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from HQCSegmentLib.qpg.circuits import ANSATZES, CNOT, CU3, CZ, RY, RZ, U3, Gate, H


@dataclass(frozen=True)
class Local:
    """One-qubit gates; for every qubit those that act on it, in order."""

    gates: tuple[tuple[RY | RZ | U3, ...], ...]


@dataclass(frozen=True)
class Fixed:
    """Two-qubit gates without angles, in order."""

    gates: tuple[CNOT | CZ, ...]


@dataclass(frozen=True)
class Controlled:
    """Two-qubit gates with angles, in order."""

    gates: tuple[CU3, ...]


Stage = Local | Fixed | Controlled


@dataclass(frozen=True)
class Program:
    """A circuit in stages, of which the first is `Local`.

    Attributes:
        qubits: Number of qubits.
        uniform: Whether it starts from the uniform state (H on every qubit) instead of |0...0>.
        is_real: Whether amplitudes are real.
        stages: In the order in which they act.
    """

    qubits: int
    uniform: bool
    is_real: bool
    stages: tuple[Stage, ...]


@lru_cache(maxsize=256)
def compiled(ansatz: str, *, qubits: int, depth: int) -> Program:
    """Program of an ansatz's circuit.

    Raises:
        NotImplementedError: for a new ansatz with Hadamard gates where the engine does not take them.
    """
    family = ANSATZES[ansatz]
    gates = family.gates(qubits=qubits, depth=depth)
    first = [gate for gate in gates if isinstance(gate, H)]
    if first not in ([], [H(qubit) for qubit in range(qubits)]) or gates[: len(first)] != first:
        msg = f"the engine takes H only at the start and on every qubit, which {ansatz} does not do"
        raise NotImplementedError(msg)
    stages = tuple(_stage(list(run), qubits=qubits) for _, run in groupby(gates[len(first) :], key=_kind))
    return Program(qubits, bool(first), family.is_real, stages)


def _kind(gate: Gate) -> type[Stage]:
    if isinstance(gate, (CNOT, CZ)):
        return Fixed
    return Controlled if isinstance(gate, CU3) else Local


def _stage(gates: Sequence[Gate], *, qubits: int) -> Stage:
    fixed = tuple(gate for gate in gates if isinstance(gate, (CNOT, CZ)))
    if fixed:
        return Fixed(fixed)
    controlled = tuple(gate for gate in gates if isinstance(gate, CU3))
    if controlled:
        return Controlled(controlled)
    one = [gate for gate in gates if isinstance(gate, (RY, RZ, U3))]
    return Local(tuple(tuple(gate for gate in one if gate.qubit == qubit) for qubit in range(qubits)))
