"""Depolarising noise without a density matrix: circuits with random Pauli errors, carried to the measurement.

A depolarising channel of probability p applies X, Y or Z with probability p/3 each. Such an error can be moved past
every later gate of most circuits here: past CNOT, CZ and H it becomes other Paulis, and past a rotation it stays as it
is, while the rotation turns the other way where the two anticommute. Arrived at the end, X and Y flip the measured bit
and Z does nothing. So a circuit with errors is the same circuit with some angles negated and some outcomes flipped,
and many of them are simulated together like other circuits. This is the Pauli frame of stabiliser simulators (Knill,
arXiv:quant-ph/0410199; Gidney, arXiv:2103.02202), here with rotations, whose sign keeps it exact. Only controlled
rotations do not let Paulis through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from HQCSegmentLib.qpg.circuits import ANSATZES, CNOT, CU3, CZ, RY, RZ, U3, Gate, H
from HQCSegmentLib.qpg.engine import born_probabilities
from HQCSegmentLib.qpg.engine.plan import qubits_of

PAULIS = "IXYZ"
"""What numbers of errors mean."""

TRAJECTORY_BYTES = 2**25
"""Probabilities of circuits with errors that are simulated at once; all temporaries together are a few times that."""

Errors = NDArray[np.int8]
"""(trajectories, places) numbers of `PAULIS`: which error follows at each place of a circuit, see `places`."""


def lets_paulis_through(ansatz: str) -> bool:
    """Whether the errors of a circuit can be carried to its end: all but those with controlled rotations.

    Args:
        ansatz: Key of `ANSATZES`.
    """
    return not any(isinstance(gate, CU3) for gate in ANSATZES[ansatz].gates(qubits=2, depth=1))


def depolarised_probabilities(
    angles: Tensor,
    depolarising: tuple[float, float],
    *,
    trajectories: int,
    ansatz: str = "ry_cnot_ring",
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Tensor:
    """Born probabilities under depolarising noise after every gate, estimated from circuits with random errors.

    The circuit without errors is computed once and counts with its exact probability; only circuits with at least one
    error are drawn. The estimate has no bias. Its standard error is below (1 - P) / (2 * sqrt(trajectories)), where P
    is the probability that no error happens.

    Args:
        angles: (channels, depth, angles per layer) in radians, float32 or float64, on the CPU, of circuits that start
            at |0...0>.
        depolarising: Probability of an error after a one-qubit gate, and after a two-qubit gate on each of its qubits;
            X, Y and Z are equally probable, as in PennyLane's `DepolarizingChannel`.
        trajectories: Circuits with errors that are drawn for each channel.
        ansatz: Key of `ANSATZES` for which `lets_paulis_through`.
        seed: Of the draws.
        on_progress: Called with the number of channels that are done, now and then.

    Returns:
        (channels, 2**qubits), dtype of the angles.

    Raises:
        QPGError: for wrong angles or an unknown ansatz.

    Examples:
        >>> depolarised_probabilities(torch.zeros(5, 2, 3), (0.001, 0.01), trajectories=10).shape
        torch.Size([5, 8])
    """
    qubits = qubits_of(angles, ansatz)
    gates = ANSATZES[ansatz].gates(qubits=qubits, depth=angles.shape[1])
    chances = error_probabilities(gates, depolarising)
    some_error = float(first_error_probabilities(chances).sum())
    exact = born_probabilities(angles, ansatz=ansatz)
    if some_error == 0:
        return exact
    # Not the random numbers that shots of this seed are drawn with.
    generator = np.random.default_rng([seed, 1])
    total = torch.zeros_like(exact)
    pairs = len(angles) * trajectories
    at_once = max(1, TRAJECTORY_BYTES // (angles.element_size() * max(2**qubits, len(chances))))
    for start in range(0, pairs, at_once):
        channels = torch.arange(start, min(start + at_once, pairs)) // trajectories
        errors = drawn_errors(chances, len(channels), generator)
        total.index_add_(0, channels, with_errors(angles[channels], errors, ansatz=ansatz))
        on_progress((start + len(channels)) // trajectories)
    return (1 - some_error) * exact + (some_error / trajectories) * total


def places(gates: Sequence[Gate]) -> list[tuple[int, int]]:
    """Where errors happen: (number of the gate that they follow, qubit), for every qubit that the gate acts on."""
    return [(number, qubit) for number, gate in enumerate(gates) for qubit in _qubits(gate)]


def error_probabilities(gates: Sequence[Gate], depolarising: tuple[float, float]) -> NDArray[np.float64]:
    """Probability of an error at each of the `places`.

    Args:
        gates: Of a circuit.
        depolarising: After one-qubit and after two-qubit gates.

    Returns:
        (places,).
    """
    return np.array([depolarising[len(_qubits(gates[number])) - 1] for number, _ in places(gates)])


def first_error_probabilities(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that the first error of a circuit is the one at each place; their sum is that of any error at all.

    Args:
        chances: (places,) probabilities of an error.

    Returns:
        (places,).
    """
    none_before = np.concatenate([[1.0], np.cumprod(1 - chances)[:-1]])
    return chances * none_before


def drawn_errors(chances: NDArray[np.float64], trajectories: int, generator: np.random.Generator) -> Errors:
    """Draw errors of circuits that have at least one.

    Args:
        chances: (places,) probabilities of an error; not all zero.
        trajectories: How many to draw.
        generator: Of random numbers.

    Returns:
        (trajectories, places).
    """
    by_first = np.cumsum(first_error_probabilities(chances))
    # The first error is drawn given that there is one; what comes later does not depend on it.
    first = np.searchsorted(by_first, by_first[-1] * generator.random(trajectories), side="right")[:, None]
    place = np.arange(len(chances))
    happens = generator.random((trajectories, len(chances))) < chances
    happens = (place == first) | (happens & (place > first))
    return np.where(happens, generator.integers(1, len(PAULIS), happens.shape, np.int8), np.int8(0))


def with_errors(angles: Tensor, errors: Errors, *, ansatz: str = "ry_cnot_ring") -> Tensor:
    """Exact Born probabilities of circuits with given errors.

    Args:
        angles: (batch, depth, angles per layer), radians, on the CPU.
        errors: (batch, places), see `places`.
        ansatz: Key of `ANSATZES` for which `lets_paulis_through`.

    Returns:
        (batch, 2**qubits), dtype of the angles.

    Raises:
        QPGError: for wrong angles or an unknown ansatz.
    """
    qubits = qubits_of(angles, ansatz)
    gates = ANSATZES[ansatz].gates(qubits=qubits, depth=angles.shape[1])
    reversed_, flipped = carried_to_the_end(gates, errors, shape=(angles.shape[1], angles.shape[2]))
    probabilities = born_probabilities(torch.where(reversed_, -angles, angles), ansatz=ansatz)
    return probabilities.gather(1, torch.arange(2**qubits) ^ flipped.unsqueeze(1))


def carried_to_the_end(gates: Sequence[Gate], errors: Errors, *, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Move the errors of circuits past all later gates.

    Args:
        gates: Of the circuit, without controlled rotations.
        errors: (batch, places).
        shape: (depth, angles per layer).

    Returns:
        reversed: (batch, depth, angles per layer), whether each rotation turns the other way;
        flipped: (batch,), int64, the measured bits that are flipped, as a number with qubit 0 as the highest bit.

    Raises:
        NotImplementedError: for a controlled rotation.
    """
    # The errors so far, moved to the present gate: X where `x`, Z where `z`, Y (but for a phase) where both.
    qubits = 1 + max(qubit for _, qubit in places(gates))
    x = np.zeros((qubits, len(errors)), bool)
    z = np.zeros_like(x)
    reversed_ = np.zeros((len(errors), *shape), bool)
    drawn = iter(np.ascontiguousarray(errors.T))
    for gate in gates:
        match gate:
            case H(qubit):
                x[qubit], z[qubit] = z[qubit].copy(), x[qubit].copy()
            case RY(qubit, layer, index):
                reversed_[:, layer, index] = x[qubit] ^ z[qubit]
            case RZ(qubit, layer, index):
                reversed_[:, layer, index] = x[qubit]
            case U3(qubit, layer, index):
                reversed_[:, layer, index] = x[qubit] ^ z[qubit]
                reversed_[:, layer, index + 1 : index + 3] = x[qubit][:, None]
            case CNOT(control, target):
                x[target] ^= x[control]
                z[control] ^= z[target]
            case CZ(control, target):
                z[control] ^= x[target]
                z[target] ^= x[control]
            case CU3():
                msg = "controlled rotations do not let Paulis through"
                raise NotImplementedError(msg)
        for qubit in _qubits(gate):
            error = next(drawn)
            x[qubit] ^= (error == PAULIS.index("X")) | (error == PAULIS.index("Y"))
            z[qubit] ^= (error == PAULIS.index("Z")) | (error == PAULIS.index("Y"))
    bits = 2 ** np.arange(qubits)[::-1]
    return torch.from_numpy(reversed_), torch.from_numpy(bits @ x)


def _qubits(gate: Gate) -> tuple[int, ...]:
    """Qubits that a gate acts on."""
    return (gate.control, gate.target) if isinstance(gate, (CNOT, CZ, CU3)) else (gate.qubit,)
