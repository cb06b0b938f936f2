"""Drawings of circuits, as text and as a figure, from the description that engine and QNode are made from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from HQCSegmentLib.qpg.circuits import ANSATZES
from HQCSegmentLib.qpg.reference import qnode

DECIMALS = 2
"""Of angles that are shown."""


def circuit_text(
    *, qubits: int, depth: int, ansatz: str = "ry_cnot_ring", angles: Tensor | None = None, width: int = 100
) -> str:
    """A circuit in characters, one line per qubit, the first at the top (PennyLane's `qml.draw`).

    Args:
        qubits: Number of qubits.
        depth: Layers of rotations.
        ansatz: Key of `ANSATZES`.
        angles: (depth, angles per layer) in radians, written into the gates; None: gates without numbers.
        width: Longest line; longer circuits go on below.

    Raises:
        QPGError: for an unknown ansatz, sizes below 1, or angles of another shape.

    Examples:
        >>> print(circuit_text(qubits=2, depth=1))
        0: ──RY─┤ ╭Probs
        1: ──RY─┤ ╰Probs
    """
    import pennylane as qml

    circuit = qnode(qubits=qubits, depth=depth, ansatz=ansatz)
    draw = qml.draw(circuit, decimals=None if angles is None else DECIMALS, max_length=width)
    return draw(_numbers(angles, qubits=qubits, depth=depth, ansatz=ansatz))


def circuit_figure(*, qubits: int, depth: int, ansatz: str = "ry_cnot_ring", angles: Tensor | None = None) -> Any:
    """A circuit as a matplotlib figure (PennyLane's `qml.draw_mpl`).

    The figure belongs to pyplot, which keeps it until `pyplot.close(figure)`.

    Args:
        qubits: Number of qubits.
        depth: Layers of rotations.
        ansatz: Key of `ANSATZES`.
        angles: (depth, angles per layer) in radians, written into the gates; None: gates without numbers.

    Raises:
        QPGError: for an unknown ansatz, sizes below 1, or angles of another shape.
    """
    import pennylane as qml

    circuit = qnode(qubits=qubits, depth=depth, ansatz=ansatz)
    draw = qml.draw_mpl(circuit, decimals=None if angles is None else DECIMALS, style="black_white")
    figure, _ = draw(_numbers(angles, qubits=qubits, depth=depth, ansatz=ansatz))
    return figure


def _numbers(angles: Tensor | None, *, qubits: int, depth: int, ansatz: str) -> Any:
    if angles is None:
        angles = torch.zeros(depth, ANSATZES[ansatz].angles_per_layer(qubits))
    return angles.detach().cpu().numpy()
