"""Born probabilities as a quantum computer would give them: from finitely many shots, and with noise. All simulated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from HQCSegmentLib.qpg.engine import born_probabilities
from HQCSegmentLib.qpg.engine.plan import qubits_of
from HQCSegmentLib.qpg.errors import QPGError
from HQCSegmentLib.qpg.execution import SIMULATORS, Execution
from HQCSegmentLib.qpg.pauli_frames import depolarised_probabilities, lets_paulis_through
from HQCSegmentLib.qpg.reference import qnode

CHEAP_DENSITY_QUBITS = 6
"""Up to so many qubits depolarising noise is computed exactly, from the density matrix of 4**n complex numbers: that
takes no longer (40 ms for a circuit of 6 qubits on one core) than 100 circuits with random errors."""

MAX_DENSITY_QUBITS = 8
"""Largest density matrix that is computed where it is asked for, or no other way is there; at 8 qubits a circuit takes
about half a second on two cores, and each further qubit four times as long."""

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

    - Depolarising: after every gate each qubit that it acts on goes through PennyLane's `DepolarizingChannel`; one
      probability for one-qubit gates, one for two-qubit gates. Circuits of up to `CHEAP_DENSITY_QUBITS` qubits are
      computed exactly on `default.mixed`; larger ones, without bias, as the mean over `execution.trajectories` circuits
      with random errors (`pauli_frames`), which finite shots are spread over. All are computed exactly, and refused
      above `MAX_DENSITY_QUBITS`, where the device is `default.mixed`, or gates are controlled rotations (`u3_cu3_ring`,
      `u3_cu3_chain`).
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
        QPGError: for wrong angles or an unknown ansatz; for a density matrix of more than `MAX_DENSITY_QUBITS` qubits;
            for a device that is not there or cannot do what is asked.

    Examples:
        >>> estimated_probabilities(torch.zeros(5, 2, 3), Execution(shots=100)).shape
        torch.Size([5, 8])
    """
    (estimated,) = estimates(angles, [execution], ansatz=ansatz, seed=seed, on_progress=on_progress)
    return estimated


def estimates(
    angles: Tensor,
    executions: Sequence[Execution],
    *,
    ansatz: str = "ry_cnot_ring",
    seed: int = 0,
    on_progress: Progress | None = None,
) -> list[Tensor]:
    """As `estimated_probabilities`, for several conditions; simulations that differ in shots only are done once.

    Returns:
        Of each condition (channels, 2**qubits), float64, on the CPU.
    """
    qubits = qubits_of(angles, ansatz)
    angles = angles.detach().to("cpu", torch.float64)
    circuits = {"qubits": qubits, "depth": angles.shape[1], "ansatz": ansatz}
    unlimited: dict[Execution, Tensor] = {}
    result = []
    for number, execution in enumerate(executions):

        def report(done: int, before: int = number * len(angles)) -> None:
            if on_progress is not None:
                on_progress(before + done)

        if execution.device in SIMULATORS:
            simulation = replace(execution, shots=None)
            if simulation not in unlimited:
                unlimited[simulation] = _simulated(angles, simulation, circuits, seed, report)
            probabilities = unlimited[simulation]
            if execution.shots is not None:
                probabilities = sampled(probabilities, execution.shots, seed=seed)
        else:
            probabilities = _on_device(angles, execution, circuits, seed, report)
        result.append(probabilities)
        report(len(angles))
    return result


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


def check_feasible(qubits: int, execution: Execution, *, ansatz: str = "ry_cnot_ring") -> None:
    """Refuse depolarising noise on circuits that need a density matrix and are too large for it.

    Raises:
        QPGError: naming the qubits, the limit and what is possible.
    """
    if not any(execution.depolarising) or not _needs_density_matrix(qubits, execution, ansatz):
        return
    if qubits > MAX_DENSITY_QUBITS:
        if lets_paulis_through(ansatz):
            why, instead = "on `device` default.mixed", "leave the device out: default.qubit has no such limit"
        else:
            why = f"through the controlled rotations of {ansatz}"
            instead = (
                "leave it out (shots and readout errors have no limit), or train with a ry_cnot or ryrz_cz circuit"
            )
        msg = (
            f"`depolarising` noise {why} is simulated for circuits of up to {MAX_DENSITY_QUBITS} qubits, got {qubits}; "
            f"{instead}"
        )
        raise QPGError(msg)


def _needs_density_matrix(qubits: int, execution: Execution, ansatz: str) -> bool:
    """Whether depolarising noise is computed exactly, rather than estimated from circuits with random errors."""
    return qubits <= CHEAP_DENSITY_QUBITS or execution.device == "default.mixed" or not lets_paulis_through(ansatz)


def _simulated(
    angles: Tensor, execution: Execution, circuits: dict[str, Any], seed: int, on_progress: Progress
) -> Tensor:
    """Probabilities with noise, from unlimited shots."""
    qubits, ansatz = circuits["qubits"], circuits["ansatz"]
    if any(execution.depolarising) and not _needs_density_matrix(qubits, execution, ansatz):
        probabilities = depolarised_probabilities(
            angles,
            execution.depolarising,
            trajectories=execution.trajectories,
            ansatz=ansatz,
            seed=seed,
            on_progress=on_progress,
        )
    elif any(execution.depolarising):
        probabilities = _depolarised(angles, execution, circuits, on_progress)
    elif execution.device == "default.qubit":
        probabilities = born_probabilities(angles, ansatz=ansatz)
    else:
        probabilities = _on_device(angles, execution, circuits, None, on_progress)
    return with_readout_error(probabilities, execution.readout_error)


def _depolarised(angles: Tensor, execution: Execution, circuits: dict[str, Any], on_progress: Progress) -> Tensor:
    """Probabilities from PennyLane's density matrix."""
    import pennylane as qml

    check_feasible(circuits["qubits"], execution, ansatz=circuits["ansatz"])

    def after(probability: float) -> Callable[..., None]:
        def channel(operation: Any, **_: Any) -> None:
            for wire in operation.wires:
                qml.DepolarizingChannel(probability, wires=wire)

        return channel

    one, two = execution.depolarising
    model = {
        qml.BooleanFn(lambda operation: len(operation.wires) == 1): after(one),
        qml.BooleanFn(lambda operation: len(operation.wires) == 2): after(two),
    }
    circuit = qml.add_noise(qnode(**circuits, device="default.mixed"), qml.NoiseModel(model))
    at_once = max(1, DENSITY_BYTES // (COMPLEX_BYTES * 4 ** circuits["qubits"]))
    return _in_parts(circuit, angles, at_once, on_progress)


def _on_device(
    angles: Tensor, execution: Execution, circuits: dict[str, Any], seed: int | None, on_progress: Progress
) -> Tensor:
    import pennylane as qml

    device, shots = execution.device, execution.shots
    circuit = qnode(**circuits, device=device, seed=seed)
    if shots is not None:
        circuit = qml.set_shots(circuit, shots)
    size = COMPLEX_BYTES * (4 if device == "default.mixed" else 2) ** circuits["qubits"]
    try:
        return _in_parts(circuit, angles, max(1, STATE_BYTES // size), on_progress)
    # Every plugin has errors of its own.
    except Exception as error:
        measured = "exact probabilities" if shots is None else f"probabilities from {shots} shots"
        reason = " ".join(str(error).split())
        msg = f"`device` {device!r} does not give {measured} of these circuits: {reason}"
        raise QPGError(msg) from error


def _in_parts(circuit: Callable[..., Any], angles: Tensor, at_once: int, on_progress: Progress) -> Tensor:
    """Run a QNode on some circuits after the other, each time as one broadcast call."""
    parts = []
    for start in range(0, len(angles), at_once):
        part = angles[start : start + at_once].numpy()
        parts.append(torch.as_tensor(np.asarray(circuit(part), np.float64)))
        on_progress(start + len(part))
    return torch.cat(parts)
