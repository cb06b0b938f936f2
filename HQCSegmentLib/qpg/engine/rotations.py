"""Products of RY rotations on batches of real states."""

from __future__ import annotations

from functools import lru_cache

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
    # From the last qubit on, so that the innermost dimension is the long one.
    state = vectors[:, -1]
    for qubit in range(vectors.shape[1] - 2, -1, -1):
        state = (vectors[:, qubit].unsqueeze(2) * state.unsqueeze(1)).flatten(1)
    return state


def rotation_matrix(angles: Tensor) -> Tensor:
    """Matrix of RY(angles[:, 0]) x RY(angles[:, 1]) x ... (Kronecker product).

    Args:
        angles: (batch, qubits) in radians.

    Returns:
        (batch, 2**qubits, 2**qubits).
    """
    # Up to its sign, entry [i, j] is the product of sin where the bits of i and j differ and of cos where they agree.
    half = angles / 2
    products = product_state(torch.stack([torch.cos(half), torch.sin(half)], dim=2))
    size = products.shape[1]
    return (products @ _signs(angles.shape[1]).to(products)).unflatten(1, (size, size))


@lru_cache(maxsize=ROTATION_CHUNK)
@torch.inference_mode(mode=False)  # kept, and later saved for backward passes
def _signs(qubits: int) -> Tensor:
    """Sign of each product of cosines and sines in each matrix entry, 0 where another stands; (2**n, 4**n)."""
    size = 2**qubits
    row, column = torch.arange(size).unsqueeze(1), torch.arange(size)
    # -sin stands where the row's bit is 0 and the column's is 1.
    minus = ~row & column
    odd = sum((minus >> qubit) & 1 for qubit in range(qubits)) % 2
    signs = torch.zeros(size, size, size)
    signs[row ^ column, row, column] = 1.0 - 2.0 * odd
    return signs.flatten(1)


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
