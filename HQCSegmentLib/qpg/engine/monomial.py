"""CNOT and CZ on basis states: they rename basis states and turn signs, so a whole entangler is an index and signs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from HQCSegmentLib.qpg.circuits import CNOT, CZ
from HQCSegmentLib.qpg.tables import table


@table
def branches(gates: tuple[CNOT | CZ, ...], first: int, stop: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """What gates do to the part of the qubits from `first` to before `stop`, one branch for each cut.

    A gate with one qubit in the part and one outside is a sum of two products, by the bit x of its control:
    |0><0| (x) 1 + |1><1| (x) X, or Z. With k such gates there are 2**k branches, the bit of the first gate being the
    most significant of the branch's number; the state is the sum over branches of the product of both parts.

    Args:
        gates: In order.
        first: First qubit of the part.
        stop: Qubit after the last of the part.
        device: Where the result is needed.

    Returns:
        index: (branches, 2**(stop - first)), int64: amplitudes after the gates are `factor * amplitudes[index]`.
        factor: Same shape, int8, 1, -1, or 0 where the branch's control bit is another.
    """
    qubits = stop - first
    cuts = [gate for gate in gates if (first <= gate.control < stop) != (first <= gate.target < stop)]
    indices, factors = [], []
    for bits in product((0, 1), repeat=len(cuts)):
        state, factor = torch.arange(2**qubits), torch.ones(2**qubits, dtype=torch.int8)
        outside = iter(bits)
        for gate in gates:
            bit = next(outside) if gate in cuts else None
            if first <= gate.control < stop:
                control = (state >> (stop - 1 - gate.control)) & 1
                if bit is not None:
                    factor = factor * (control == bit)
                    continue
            elif bit is not None:
                control = torch.full_like(state, bit)
            else:
                continue
            target = stop - 1 - gate.target
            if isinstance(gate, CZ):
                factor = factor * (1 - 2 * control * ((state >> target) & 1))
            else:
                state = state ^ (control << target)
        back = torch.argsort(state)
        indices.append(back)
        factors.append(factor[back])
    return torch.stack(indices).to(device), torch.stack(factors).to(device, torch.int8)


def crossings(gates: Sequence[CNOT | CZ], cut: int) -> int:
    """Number of gates between qubits below and from `cut`."""
    return sum((gate.control < cut) != (gate.target < cut) for gate in gates)
