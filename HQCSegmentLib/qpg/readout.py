"""From circuits to values: how Born probabilities are read as numbers around zero.

Both readouts are written for states that start uniform and are scaled by 2**(n/2) (`engine.uniform_start`), so that
all-zero angles give values that are exactly zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

from HQCSegmentLib.qpg.config import Readout
from HQCSegmentLib.qpg.engine import cut, squared_amplitudes, uniform_start, uses_cut


def qubits_needed(numbers: int, readout: Readout) -> int:
    """Qubits of a circuit that generates `numbers` values: ceil(log2 M), and one more for the sign.

    Args:
        numbers: M, at least 1.
        readout: "signed" or "probability".
    """
    data = max(1, (numbers - 1).bit_length())
    return data + 1 if readout == "signed" else data


def values(angles: Tensor, *, numbers: int, readout: Readout) -> Tensor:
    """Values that a batch of circuits generates.

    signed:      v_b = 2**(n-1) * (p(0, b) - p(1, b)), the first qubit being the sign;
    probability: v_b = 2**n * p_b - 1.

    Args:
        angles: phi, the angles' distance from the uniform start, (batch, depth, qubits), radians.
        numbers: How many of the values are needed; the last rows that hold none of them are not computed.
        readout: "signed" or "probability".

    Returns:
        (batch, at least `numbers`); the first `numbers` columns count. Zero everywhere where phi is zero.
    """
    first, later = uniform_start(angles[:, 0]), angles[:, 1:]
    qubits = first.shape[1]
    signed = readout == "signed"
    if not uses_cut(qubits=qubits, depth=angles.shape[1]) or (signed and qubits == 2):
        weights = squared_amplitudes(first, later)
        if not signed:
            return weights - 1
        zero, one = weights.chunk(2, dim=1)
        return (zero - one) / 2
    # The sign qubit is in the left half and does not count for balance.
    size = (qubits + 1) // 2 if signed else qubits // 2
    left, right = cut.halves(first, later, cut=size)
    rows = -(-numbers // right.shape[2])
    if signed:
        zero, one = left.chunk(2, dim=2)
        return cut.signed_difference(torch.cat([zero[..., :rows], one[..., :rows]], dim=2), right)
    return cut.squared(left[..., :rows], right) - 1
