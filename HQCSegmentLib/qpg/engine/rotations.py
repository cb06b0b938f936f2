"""Products of RY rotations on batches of real states."""

from __future__ import annotations

import torch
from torch import Tensor

ROTATION_CHUNK = 4
"""Rotations of at most this many neighbouring qubits are multiplied into one matrix (16 x 16)."""


def product_state(vectors: Tensor) -> Tensor:
    """Tensor product of one-qubit states.

    Args:
        vectors: (batch, qubits, 2), qubit 0 the most significant.

    Returns:
        (batch, 2**qubits).
    """
    state = vectors[:, 0]
    for qubit in range(1, vectors.shape[1]):
        state = (state.unsqueeze(2) * vectors[:, qubit].unsqueeze(1)).flatten(1)
    return state


def rotation_matrix(angles: Tensor) -> Tensor:
    """Matrix of RY(angles[:, 0]) x RY(angles[:, 1]) x ... (Kronecker product).

    Args:
        angles: (batch, qubits) in radians.

    Returns:
        (batch, 2**qubits, 2**qubits).
    """
    cosine, sine = torch.cos(angles / 2), torch.sin(angles / 2)
    gates = torch.stack([cosine, -sine, sine, cosine], dim=2).unflatten(2, (2, 2))
    matrix = gates[:, 0]
    for qubit in range(1, angles.shape[1]):
        size = 2 * matrix.shape[1]
        matrix = (matrix[:, :, None, :, None] * gates[:, qubit, None, :, None, :]).reshape(-1, size, size)
    return matrix


def chunks(qubits: int) -> list[slice]:
    """Neighbouring qubits in groups of nearly equal size, each at most ROTATION_CHUNK."""
    count = -(-qubits // ROTATION_CHUNK)
    ends = [round(qubits * (index + 1) / count) for index in range(count)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def rotate(state: Tensor, angles: Tensor) -> Tensor:
    """Apply RY(angles[:, q]) to every qubit q.

    Args:
        state: (batch, 2**qubits) or (batch, terms, 2**qubits); real.
        angles: (batch, qubits) in radians.

    Returns:
        The rotated states, same shape.
    """
    shape = state.shape
    for qubits in chunks(angles.shape[1]):
        matrix = rotation_matrix(angles[:, qubits])
        size = matrix.shape[1]
        right = 2 ** (angles.shape[1] - qubits.stop)
        if right == 1:
            state = state.reshape(shape[0], -1, size) @ matrix.transpose(1, 2)
        else:
            state = matrix.unsqueeze(1) @ state.reshape(shape[0], -1, size, right)
    return state.reshape(shape)
