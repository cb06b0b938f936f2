"""The same circuits as PennyLane QNodes: the reference, and the way to drawings, noise and real devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from HQCSegmentLib.qpg.circuits import ANSATZES, CNOT, RY
from HQCSegmentLib.qpg.errors import QPGError


def qnode(
    *, qubits: int, depth: int, ansatz: str = "ry_cnot_ring", device: str = "default.qubit"
) -> Callable[..., Any]:
    """PennyLane QNode that returns the Born probabilities of one circuit, or of a batch by broadcasting.

    Args:
        qubits: Number of qubits (wires); wire 0 is the most significant bit.
        depth: Layers of rotations.
        ansatz: Circuit family, see `ANSATZES`.
        device: Name of any PennyLane device.

    Returns:
        A QNode of one argument, angles of shape (depth, qubits) or (channels, depth, qubits), that gives
        probabilities of shape (2**qubits,) or (channels, 2**qubits).

    Raises:
        QPGError: for an unknown ansatz or device, or sizes below 1.

    Examples:
        >>> import torch
        >>> circuit = qnode(qubits=3, depth=2)
        >>> circuit(torch.zeros(2, 3)).shape
        torch.Size([8])
    """
    import pennylane as qml

    if ansatz not in ANSATZES:
        msg = f"`ansatz` must be one of {', '.join(ANSATZES)}, got {ansatz!r}"
        raise QPGError(msg)
    if qubits < 1 or depth < 1:
        msg = f"`qubits` and `depth` must be at least 1, got {qubits} and {depth}"
        raise QPGError(msg)
    try:
        chosen = qml.device(device, wires=qubits)
    except (qml.exceptions.DeviceError, ImportError) as error:
        msg = f"`device` {device!r} is not available in PennyLane {qml.__version__}: {error}"
        raise QPGError(msg) from error
    gates = ANSATZES[ansatz].gates(qubits=qubits, depth=depth)

    @qml.qnode(chosen, diff_method="backprop" if device == "default.qubit" else "best")
    def circuit(angles: Any) -> Any:
        if tuple(angles.shape[-2:]) != (depth, qubits):
            msg = f"angles must have shape (..., {depth}, {qubits}), got {tuple(angles.shape)}"
            raise QPGError(msg)
        for gate in gates:
            if isinstance(gate, RY):
                qml.RY(angles[..., gate.layer, gate.qubit], wires=gate.qubit)
            elif isinstance(gate, CNOT):
                qml.CNOT(wires=[gate.control, gate.target])
        return qml.probs(wires=range(qubits))

    return circuit
