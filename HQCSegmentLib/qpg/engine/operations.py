"""The later stages of a circuit as operations on state vectors, and their matrices."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from HQCSegmentLib.qpg.circuits import CNOT, CU3
from HQCSegmentLib.qpg.engine.matrices import controlled, gate_matrices, kron, local_matrices
from HQCSegmentLib.qpg.engine.monomial import branches
from HQCSegmentLib.qpg.engine.program import Controlled, Fixed, Program
from HQCSegmentLib.qpg.engine.windows import MAX_WIDTH, Monomial, Rotation, Window, chunks

Operation = Rotation | Window | Monomial


def operations(program: Program, angles: Tensor, *, first: int) -> tuple[list[Operation], list[Tensor]]:
    """Operations of the stages from `first` on, and the matrices of all that are not `Monomial`, in order.

    Args:
        program: The circuit.
        angles: (batch, depth, angles per layer), radians.
        first: Number of the first stage.
    """
    steps: list[Operation] = []
    matrices: list[Tensor] = []
    waiting: Tensor | None = None
    stages = program.stages[first:]
    for number, stage in enumerate(stages):
        if isinstance(stage, Fixed):
            steps.append(_monomial(stage, program.qubits, angles.device))
        elif isinstance(stage, Controlled):
            windows, new = _windows(stage, angles, waiting, qubits=program.qubits)
            steps += windows
            matrices += new
            waiting = None
        else:
            local = local_matrices(stage, angles)
            if number + 1 < len(stages) and isinstance(stages[number + 1], Controlled):
                waiting = local
            else:
                for chunk in chunks(program.qubits):
                    matrices.append(kron(local[:, chunk]))
                    steps.append(Rotation(chunk.stop - chunk.start))
    return steps, matrices


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)  # kept, and later used in backward passes
def _monomial(stage: Fixed, qubits: int, device: torch.device) -> Monomial:
    (index,), (factor,) = branches(stage.gates, 0, qubits, device)
    moves = any(isinstance(gate, CNOT) for gate in stage.gates)
    turns = bool((factor < 0).any())
    return Monomial(
        index if moves else None, torch.argsort(index) if moves else None, factor.to(torch.float32) if turns else None
    )


def _windows(
    stage: Controlled, angles: Tensor, local: Tensor | None, *, qubits: int
) -> tuple[list[Window], list[Tensor]]:
    """Overlapping windows of controlled gates, with the one-qubit gates before them where a qubit appears first."""
    blocks = gate_matrices(stage.gates, angles)
    windows, matrices = [], []
    seen: set[int] = set()
    for start, stop in _runs(stage.gates):
        touched = [stage.gates[start].control, *(gate.target for gate in stage.gates[start:stop])]
        matrix = controlled(blocks[:, start:stop])
        if local is not None and not seen.issuperset(touched):
            one = torch.eye(2, dtype=local.dtype, device=local.device).expand(len(local), 2, 2)
            before = torch.stack([one if qubit in seen else local[:, qubit] for qubit in touched], dim=1)
            matrix = matrix @ kron(before)
        seen.update(touched)
        windows.append(Window(touched[0], len(touched), qubits))
        matrices.append(matrix)
    return windows, matrices


def _runs(gates: tuple[CU3, ...]) -> list[tuple[int, int]]:
    """Bounds of runs (q, q + 1), (q + 1, q + 2), ... of at most MAX_WIDTH qubits."""
    runs: list[tuple[int, int]] = []
    for number, gate in enumerate(gates):
        follows = number > 0 and gate.control == gates[number - 1].target and gate.target == gate.control + 1
        if runs and follows and number - runs[-1][0] < MAX_WIDTH - 1:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs
