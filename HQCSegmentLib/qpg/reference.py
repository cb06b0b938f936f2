"""The same circuits as PennyLane QNodes: the reference, and the way to drawings, noise and real devices."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from HQCSegmentLib.qpg.circuits import ANSATZES, CNOT, CU3, CZ, RY, RZ, U3, Gate, H
from HQCSegmentLib.qpg.errors import QPGError


def qnode(
    *, qubits: int, depth: int, ansatz: str = "ry_cnot_ring", device: str = "default.qubit", seed: int | None = None
) -> Callable[..., Any]:
    """PennyLane QNode that returns the Born probabilities of one circuit, or of a batch by broadcasting.

    Args:
        qubits: Number of qubits (wires); wire 0 is the most significant bit.
        depth: Layers of rotations.
        ansatz: Circuit family, see `ANSATZES`.
        device: Name of any PennyLane device.
        seed: Of the device's random numbers, where shots are finite and the device takes a seed.

    Returns:
        A QNode of one argument, angles of shape (depth, angles) or (channels, depth, angles), where angles is the
        ansatz's `angles_per_layer` (for `ry_cnot_*` the number of qubits), that gives probabilities of shape
        (2**qubits,) or (channels, 2**qubits).

    Raises:
        QPGError: for an unknown ansatz or device, or sizes below 1.

    Examples:
        >>> import torch
        >>> circuit = qnode(qubits=3, depth=2)
        >>> circuit(torch.zeros(2, 3)).shape
        torch.Size([8])
    """
    import pennylane as qml

    gates = gates_of(qubits=qubits, depth=depth, ansatz=ansatz)
    chosen = _device(device, qubits=qubits, seed=seed)
    shape = (depth, ANSATZES[ansatz].angles_per_layer(qubits))

    @qml.qnode(chosen)
    def circuit(angles: Any) -> Any:
        if tuple(angles.shape[-2:]) != shape:
            msg = f"`angles` must have shape (..., {shape[0]}, {shape[1]}), got {tuple(angles.shape)}"
            raise QPGError(msg)
        for gate in gates:
            apply(gate, angles)
        return qml.probs(wires=range(qubits))

    return circuit


def gates_of(*, qubits: int, depth: int, ansatz: str) -> list[Gate]:
    """Gates of a circuit, from names and sizes that users give.

    Raises:
        QPGError: for an unknown ansatz, or sizes below 1.
    """
    if ansatz not in ANSATZES:
        msg = f"`ansatz` must be one of {', '.join(ANSATZES)}, got {ansatz!r}"
        raise QPGError(msg)
    if qubits < 1 or depth < 1:
        msg = f"`qubits` and `depth` must be at least 1, got {qubits} and {depth}"
        raise QPGError(msg)
    return ANSATZES[ansatz].gates(qubits=qubits, depth=depth)


def _device(name: str, *, qubits: int, seed: int | None) -> Any:
    import pennylane as qml

    try:
        if seed is not None:
            # Devices of plugins need not know of seeds.
            with contextlib.suppress(TypeError):
                return qml.device(name, wires=qubits, seed=seed)
        return qml.device(name, wires=qubits)
    except (qml.exceptions.DeviceError, ImportError) as error:
        msg = f"`device` {name!r} is not available in PennyLane {qml.__version__}: {error}"
        raise QPGError(msg) from error


def apply(gate: Gate, angles: Any) -> None:
    """Queue one gate in the PennyLane circuit that is being recorded.

    Args:
        gate: One gate of an ansatz's description.
        angles: (..., depth, angles per layer), any array that PennyLane takes.
    """
    import pennylane as qml

    def angle(offset: int = 0) -> Any:
        assert not isinstance(gate, (H, CNOT, CZ))
        return angles[..., gate.layer, gate.index + offset]

    match gate:
        case H():
            qml.Hadamard(gate.qubit)
        case RY():
            qml.RY(angle(), wires=gate.qubit)
        case RZ():
            qml.RZ(angle(), wires=gate.qubit)
        case U3():
            qml.U3(angle(0), angle(1), angle(2), wires=gate.qubit)
        case CNOT():
            qml.CNOT(wires=[gate.control, gate.target])
        case CZ():
            qml.CZ(wires=[gate.control, gate.target])
        case CU3():
            qml.ctrl(qml.U3(angle(0), angle(1), angle(2), wires=gate.target), control=gate.control)
