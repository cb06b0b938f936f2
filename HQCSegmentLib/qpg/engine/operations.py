"""The later stages of a circuit as operations on state vectors, and their matrices."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from HQCSegmentLib.qpg.circuits import CNOT, CU3, CZ
from HQCSegmentLib.qpg.engine.matrices import controlled, local_matrices
from HQCSegmentLib.qpg.engine.monomial import branches
from HQCSegmentLib.qpg.engine.program import Controlled, Fixed, Local, Program
from HQCSegmentLib.qpg.engine.windows import Monomial, Operation, Turn, Window, chunks
from HQCSegmentLib.qpg.tables import table

WINDOW_WIDTH = 4
"""Most qubits of a window of controlled gates: wider ones save passes over states, but take longer to multiply."""


def operations(program: Program, angles: Tensor, *, first: int) -> tuple[list[Operation], list[Tensor]]:
    """Operations of the stages from `first` on, and all their matrices, in order.

    Args:
        program: The circuit.
        angles: (batch, depth, angles per layer), radians.
        first: Number of the first stage.
    """
    stages = program.stages[first:]
    groups = chunks(program.qubits)
    turned = [stage for stage in stages if isinstance(stage, Local)]
    turns = iter(local_matrices(turned, [[group] for group in groups], angles) if turned else ())
    steps: list[Operation] = []
    matrices: list[Tensor] = []
    for stage in stages:
        if isinstance(stage, Fixed):
            steps.append(_monomial(stage, program.qubits, angles.device, angles.dtype))
        elif isinstance(stage, Controlled):
            for window, gates in _windows(stage.gates):
                steps.append(window)
                matrices.append(controlled(gates, angles))
        else:
            steps.append(Turn(tuple(group.stop - group.start for group in groups)))
            matrices += next(turns)
    return steps, matrices


@table
def _monomial(stage: Fixed, qubits: int, device: torch.device, dtype: torch.dtype) -> Monomial:
    (index,), (factor,) = branches(stage.gates, 0, qubits, device)
    signs = factor.to(dtype) if any(isinstance(gate, CZ) for gate in stage.gates) else None
    if not any(isinstance(gate, CNOT) for gate in stage.gates):
        return Monomial(None, None, signs)
    return Monomial(index, torch.argsort(index), signs)


@lru_cache(maxsize=64)
def _windows(gates: tuple[CU3, ...]) -> list[tuple[Window, tuple[CU3, ...]]]:
    """Overlapping windows, each with a run (q, q + 1), (q + 1, q + 2), ... of gates."""
    runs: list[list[CU3]] = []
    for gate in gates:
        last = runs[-1] if runs else []
        follows = bool(last) and gate.control == last[-1].target and _are_neighbours(last[-1]) and _are_neighbours(gate)
        if follows and len(last) < WINDOW_WIDTH - 1:
            last.append(gate)
        else:
            runs.append([gate])
    return [(Window((run[0].control, *(gate.target for gate in run))), tuple(run)) for run in runs]


def _are_neighbours(gate: CU3) -> bool:
    return gate.target == gate.control + 1
