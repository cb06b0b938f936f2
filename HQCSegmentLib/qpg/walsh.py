"""The Walsh-Hadamard transform: every value becomes a pattern of signs over all others.

    T(v)_s = 2**(-m/2) sum_b (-1)**(s . b) v_b,    s . b: how many bits are 1 in both

It is orthonormal and its own inverse. Of Born probabilities it makes expectation values of Pauli-Z strings:
sum_b (-1)**(s . b) p_b = <Z**s>, the product of Z on the qubits whose bit in s is 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from HQCSegmentLib.qpg.tables import table


def walsh(values: Tensor) -> Tensor:
    """Transform of rows of values.

    Args:
        values: (batch, 2**m), float32 or float64.

    Returns:
        (batch, 2**m), differentiable; zero to the last bit where all values of a row are zero.
    """
    bits = values.shape[1].bit_length() - 1
    first = bits // 2
    after = values.reshape(-1, 2 ** (bits - first)) @ signs(bits - first, values.dtype, values.device)
    both = signs(first, values.dtype, values.device) @ after.view(len(values), 2**first, -1)
    return both.reshape(values.shape) * 2 ** (-bits / 2)


@table
def signs(bits: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(-1)**(s . b), not normalised, (2**bits, 2**bits)."""
    matrix = torch.ones(1, 1, dtype=dtype)
    for _ in range(bits):
        matrix = torch.cat([torch.cat([matrix, matrix], dim=1), torch.cat([matrix, -matrix], dim=1)])
    return matrix.to(device)
