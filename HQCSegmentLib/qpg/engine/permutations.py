"""CNOTs on basis states: they only rename basis states, so a whole entangler is one index array."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from HQCSegmentLib.qpg.circuits import CNOT


def destination(gates: Iterable[CNOT], *, qubits: int) -> Tensor:
    """`destination[b]` is the number of the state that |b> becomes; (2**qubits,), int64."""
    state = torch.arange(2**qubits)
    for gate in gates:
        control = (state >> (qubits - 1 - gate.control)) & 1
        state = state ^ (control << (qubits - 1 - gate.target))
    return state


def source(gates: Iterable[CNOT], *, qubits: int) -> Tensor:
    """Inverse of `destination`: amplitudes after the gates are `amplitudes[source]`; int64, (2**qubits,)."""
    return torch.argsort(destination(gates, qubits=qubits))
