"""Born probabilities as a quantum computer would give them: from finitely many shots, and with noise. All simulated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from HQCSegmentLib.qpg.engine import born_probabilities
from HQCSegmentLib.qpg.engine.simulation import qubits_of
from HQCSegmentLib.qpg.errors import QPGError
from HQCSegmentLib.qpg.execution import Execution
from HQCSegmentLib.qpg.reference import qnode

MAX_DENSITY_QUBITS = 8
"""Depolarising noise needs the density matrix, 4**n complex numbers; at 8 qubits a circuit takes about half a second
on two cores, and each further qubit four times as long."""

DENSITY_BYTES = 2**23
"""Density matrices that are simulated at once."""

STATE_BYTES = 2**26
"""State vectors that another device is given at once."""

COMPLEX_BYTES = 16

Progress = Callable[[int], None]
"""Called with the number of circuits that are done."""


def estimated_probabilities(
    angles: Tensor,
    execution: Execution,
    *,
    ansatz: str = "ry_cnot_ring",
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Tensor:
    """Probabilities of circuits that start at |0...0>, estimated under the conditions of `execution`.

    - Depolarising: after every gate each qubit that it acts on goes through PennyLane's `DepolarizingChannel`, on
      `default.mixed`; one probability for one-qubit gates, one for two-qubit gates.
    - Readout error: every measured bit is flipped with this probability, independently.
    - Shots: relative frequencies. On `default.qubit` and `default.mixed` they are drawn from the multinomial
      distribution of the (noisy) probabilities. That is what measuring shot by shot draws from, but its cost does not
      grow with the number of shots, so that thousands of circuits of 13 qubits are feasible.
    - Any other device computes or measures by itself, through the QNode of `qnode`.

    Args:
        angles: (channels, depth, angles per layer) in radians, float32 or float64, as for `born_probabilities`.
        execution: Shots, noise and device.
        ansatz: Circuit family and entanglement, a key of `ANSATZES`.
        seed: Of all random draws. Results are the same again, unless a device of a plugin takes no seed.
        on_progress: Called with the number of circuits that are done, now and then.

    Returns:
        (channels, 2**qubits), float64, on the CPU; qubit 0 is the most significant bit.

    Raises:
        QPGError: for wrong angles or an unknown ansatz; for depolarising noise on circuits of more than
            `MAX_DENSITY_QUBITS` qubits; for a device that is not there or cannot do what is asked.

    Examples:
        >>> estimated_probabilities(torch.zeros(5, 2, 3), Execution(shots=100)).shape
        torch.Size([5, 8])
    """
    qubits = qubits_of(angles, ansatz)
    angles = angles.detach().to("cpu", torch.float64)
    circuits = {"qubits": qubits, "depth": angles.shape[1], "ansatz": ansatz}
    if any(execution.depolarising):
        probabilities = _depolarised(angles, execution.depolarising, circuits, on_progress)
    elif execution.device == "default.qubit":
        probabilities = born_probabilities(angles, ansatz=ansatz)
    else:
        # Its random numbers too are drawn by the device itself, except on a simulator that can be left exact.
        shots = None if execution.device == "default.mixed" else execution.shots
        probabilities = _on_device(angles, execution.device, shots, circuits, seed, on_progress)
        if shots is not None:
            return probabilities
    probabilities = with_readout_error(probabilities, execution.readout_error)
    if on_progress is not None:
        on_progress(len(angles))
    return probabilities if execution.shots is None else sampled(probabilities, execution.shots, seed=seed)


def with_readout_error(probabilities: Tensor, error: float) -> Tensor:
    """Probabilities of what is read where every bit is read wrongly with probability `error`, independently.

    Args:
        probabilities: (channels, 2**qubits).
        error: From 0 to 1.
    """
    if error == 0:
        return probabilities
    shape, width = probabilities.shape, 1
    while width < shape[1]:
        bits = probabilities.reshape(len(probabilities), -1, 2, width)
        probabilities = ((1 - error) * bits + error * bits.flip(2)).reshape(shape)
        width *= 2
    return probabilities


def sampled(probabilities: Tensor, shots: int, *, seed: int) -> Tensor:
    """Relative frequencies of outcomes in `shots` draws.

    Args:
        probabilities: (channels, outcomes), on the CPU.
        shots: Draws of each channel.
        seed: Of the draws.

    Returns:
        (channels, outcomes), float64.
    """
    exact = probabilities.double().clamp_min(0).numpy()
    exact = exact / exact.sum(axis=1, keepdims=True)
    return torch.from_numpy(np.random.default_rng(seed).multinomial(shots, exact) / shots)


def check_feasible(qubits: int, execution: Execution) -> None:
    """Refuse depolarising noise on circuits that are too large for their density matrix.

    Raises:
        QPGError: naming the qubits and the limit.
    """
    if any(execution.depolarising) and qubits > MAX_DENSITY_QUBITS:
        msg = (
            f"`depolarising` noise is simulated for circuits of up to {MAX_DENSITY_QUBITS} qubits, got {qubits}; "
            "leave it out (shots and readout errors have no such limit), or train with smaller circuits, for example "
            "coordinates 'singular'"
        )
        raise QPGError(msg)


def _depolarised(
    angles: Tensor, depolarising: tuple[float, float], circuits: dict[str, Any], on_progress: Progress | None
) -> Tensor:
    import pennylane as qml

    check_feasible(circuits["qubits"], Execution(depolarising=depolarising))

    def after(probability: float) -> Callable[..., None]:
        def channel(operation: Any, **_: Any) -> None:
            for wire in operation.wires:
                qml.DepolarizingChannel(probability, wires=wire)

        return channel

    model = {
        qml.BooleanFn(lambda operation: len(operation.wires) == 1): after(depolarising[0]),
        qml.BooleanFn(lambda operation: len(operation.wires) == 2): after(depolarising[1]),
    }
    circuit = qml.add_noise(qnode(**circuits, device="default.mixed"), qml.NoiseModel(model))
    at_once = max(1, DENSITY_BYTES // (COMPLEX_BYTES * 4 ** circuits["qubits"]))
    return _in_parts(circuit, angles, at_once, on_progress)


def _on_device(
    angles: Tensor,
    device: str,
    shots: int | None,
    circuits: dict[str, Any],
    seed: int,
    on_progress: Progress | None,
) -> Tensor:
    import pennylane as qml

    size = (4 if device == "default.mixed" else 2) ** circuits["qubits"]
    circuit = qnode(**circuits, device=device, seed=seed)
    if shots is not None:
        circuit = qml.set_shots(circuit, shots)
    try:
        return _in_parts(circuit, angles, max(1, STATE_BYTES // (COMPLEX_BYTES * size)), on_progress)
    # Every plugin has errors of its own.
    except Exception as error:
        measured = "exact probabilities" if shots is None else f"probabilities from {shots} shots"
        reason = " ".join(str(error).split())
        msg = f"`device` {device!r} does not give {measured} of these circuits: {reason}"
        raise QPGError(msg) from error


def _in_parts(circuit: Callable[..., Any], angles: Tensor, at_once: int, on_progress: Progress | None) -> Tensor:
    """Run a QNode on some circuits after the other, each time as one broadcast call."""
    parts = []
    for start in range(0, len(angles), at_once):
        part = angles[start : start + at_once].numpy()
        parts.append(torch.as_tensor(np.asarray(circuit(part), np.float64)))
        if on_progress is not None:
            on_progress(start + len(part))
    return torch.cat(parts)
