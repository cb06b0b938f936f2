"""Matrices of gates, and of what neighbouring qubits go through together; batched over circuits, differentiable.

Every one-qubit gate here is a rotation about y between two diagonal matrices of phases:
RZ then RY is RY diag(e^(-i a/2), e^(i a/2)), and U3 is diag(1, e^(i phi)) RY(theta) diag(1, e^(i delta)). So the matrix
of neighbouring qubits is a product of RY rotations, which is real, with phases for its rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from HQCSegmentLib.qpg.circuits import CU3, RY, RZ, U3
from HQCSegmentLib.qpg.engine.program import Local
from HQCSegmentLib.qpg.tables import table


@table
def angle_places(gates: tuple[RY | RZ | U3 | CU3, ...], width: int, device: torch.device) -> Tensor:
    """Where the first angles of gates are in the flattened table of angles."""
    return torch.tensor([gate.layer * width + gate.index for gate in gates], device=device)


def angles_of(gates: Sequence[RY | RZ | U3 | CU3], angles: Tensor, *, offset: int = 0) -> Tensor:
    """The first (or by `offset` a further) angle of each gate, (batch, gates)."""
    return angles.flatten(1).index_select(1, angle_places(tuple(gates), angles.shape[2], angles.device) + offset)


def one_qubit_states(stage: Local, angles: Tensor, *, uniform: bool) -> Tensor:
    """State of each qubit after its gates.

    Args:
        stage: One-qubit gates; all qubits with the same kinds in the same order.
        angles: (batch, depth, angles per layer), radians.
        uniform: Start from (1, 1) instead of (1, 0). Angle 0 then leaves exactly (1, 1).

    Returns:
        (batch, qubits, 2), real if all gates are.
    """
    qubits = len(stage.gates)
    zero = angles.new_ones(len(angles), qubits)
    one = zero if uniform else torch.zeros_like(zero)
    for gates in zip(*stage.gates, strict=True):
        rotation, before, after = _parts(gates, angles)
        if before is not None:
            zero, one = zero * before[..., 0], one * before[..., 1]
        if rotation is not None:
            cosine, sine = torch.cos(rotation / 2), torch.sin(rotation / 2)
            zero, one = cosine * zero - sine * one, sine * zero + cosine * one
        if after is not None:
            zero, one = zero * after[..., 0], one * after[..., 1]
    return torch.stack([zero, one], dim=2)


def local_matrices(stages: Sequence[Local], groups: Sequence[Sequence[slice]], angles: Tensor) -> list[list[Tensor]]:
    """Matrices of groups of neighbouring qubits.

    Args:
        stages: One-qubit gates; every qubit has one rotation about y, and maybe phases before and after it.
        groups: Neighbouring qubits, or several such groups of equally many, which come one after the other in a batch.
            Those of equal number, which most are, are computed together.
        angles: (batch, depth, angles per layer), radians.

    Returns:
        For every stage and (members of) group (members * batch, 2**q, 2**q), q being the number of qubits.
    """
    rotations, befores, afters = zip(*(_whole(stage, angles) for stage in stages), strict=True)
    result: dict[tuple[int, int], Tensor] = {}
    widths = [(group[0].stop - group[0].start, len(group)) for group in groups]
    for alike in set(widths):
        members = [number for number, width in enumerate(widths) if width == alike]
        places = list(product(range(len(stages)), members))

        def gathered(parts: Sequence[Tensor], places: list[tuple[int, int]] = places) -> Tensor:
            """(stages * groups, members * batch, qubits, ...)."""
            chosen = [parts[stage][:, one] for stage, number in places for one in groups[number]]
            return torch.stack(chosen).view(len(places), -1, *chosen[0].shape[1:])

        matrices = _rotations(gathered(rotations))
        if befores[0] is not None:
            matrices = matrices * product_state(gathered(befores)).unsqueeze(-2)
        if afters[0] is not None:
            matrices = product_state(gathered(afters)).unsqueeze(-1) * matrices
        result |= zip(places, matrices.unbind(0), strict=True)
    return [[result[stage, number] for number in range(len(groups))] for stage in range(len(stages))]


def controlled(gates: Sequence[CU3], angles: Tensor) -> Tensor:
    """Matrix of controlled gates one after the other: on qubits (0, 1), (1, 2), ... of a window.

    Args:
        gates: At least one.
        angles: (batch, depth, angles per layer), radians.

    Returns:
        (batch, 2**(gates + 1), 2**(gates + 1)).
    """
    rotation, before, after = _parts(gates, angles)
    assert rotation is not None
    assert before is not None
    assert after is not None
    blocks = after.unsqueeze(3) * _rotations(rotation.unsqueeze(2)) * before.unsqueeze(2)
    count = len(gates)
    result = torch.eye(2 ** (count + 1), dtype=blocks.dtype, device=blocks.device).expand(len(blocks), -1, -1)
    for number in range(count):
        # Rows by (qubits before, control, target, qubits after with all columns).
        rows = result.reshape(len(blocks), 2**number, 2, 2, -1)
        unchanged, target = rows.unbind(2)
        changed = blocks[:, number].unsqueeze(1) @ target
        result = torch.stack([unchanged, changed], dim=2).reshape(result.shape)
    return result


def product_state(vectors: Tensor) -> Tensor:
    """Tensor product of one-qubit states, (..., qubits, 2) -> (..., 2**qubits); qubit 0 the most significant."""
    if vectors.shape[-2] == 0:
        return vectors.new_ones(*vectors.shape[:-2], 1)
    # Neighbours in pairs, pairs of pairs, ...: few operations, all of a level in one; what is left over comes last.
    left_over: list[Tensor] = []
    while vectors.shape[-2] > 1:
        count = vectors.shape[-2]
        if count % 2:
            vectors, last = vectors.split([count - 1, 1], dim=-2)
            left_over.append(last.squeeze(-2))
        first, second = vectors.unflatten(-2, (-1, 2)).unbind(-2)
        vectors = (first.unsqueeze(-1) * second.unsqueeze(-2)).flatten(-2)
    state = vectors.squeeze(-2)
    for last in reversed(left_over):
        state = (state.unsqueeze(-1) * last.unsqueeze(-2)).flatten(-2)
    return state


def _rotations(angles: Tensor) -> Tensor:
    """Matrix of RY(angles[..., 0]) x RY(angles[..., 1]) x ..., (..., qubits) -> (..., 2**qubits, 2**qubits)."""
    # Up to its sign, entry [i, j] is the product of sin where the bits of i and j differ and of cos where they agree.
    half = angles / 2
    products = product_state(torch.stack([torch.cos(half), torch.sin(half)], dim=-1))
    size = products.shape[-1]
    return (products @ _signs(angles.shape[-1], products.dtype, products.device)).unflatten(-1, (size, size))


@table
def _signs(qubits: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Sign of each product of cosines and sines in each matrix entry, 0 where another stands; (2**n, 4**n)."""
    size = 2**qubits
    row, column = torch.arange(size).unsqueeze(1), torch.arange(size)
    # -sin stands where the row's bit is 0 and the column's is 1.
    minus = ~row & column
    odd = torch.stack([(minus >> qubit) & 1 for qubit in range(qubits)]).sum(0) % 2
    signs = torch.zeros(size, size, size, dtype=dtype)
    signs[row ^ column, row, column] = 1.0 - 2.0 * odd.to(dtype)
    return signs.flatten(1).to(device)


def _whole(stage: Local, angles: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Rotation angles, and phases before and after the rotation, of all gates of each qubit together."""
    rotation: Tensor | None = None
    before: Tensor | None = None
    after: Tensor | None = None
    for gates in zip(*stage.gates, strict=True):
        assert rotation is None, "a second rotation of one qubit within a stage"
        rotation, phases, after = _parts(gates, angles)
        before = phases if before is None else before
    assert rotation is not None
    return rotation, before, after


def _parts(gates: Sequence[RY | RZ | U3 | CU3], angles: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gates of one kind as phases, then a rotation about y, then phases.

    Returns:
        Rotation angles (batch, gates), phases before and phases after (batch, gates, 2), or None for none.
    """
    kind = type(gates[0])
    assert all(type(gate) is kind for gate in gates)
    first = angles_of(gates, angles)
    if kind is RY:
        return first, None, None
    if kind is RZ:
        phase = _phase(first / 2)
        return None, torch.stack([phase.conj(), phase], dim=2), None
    after, before = (_phase(angles_of(gates, angles, offset=offset)) for offset in (1, 2))
    one = torch.ones_like(before)
    return first, torch.stack([one, before], dim=2), torch.stack([one, after], dim=2)


def _phase(angle: Tensor) -> Tensor:
    return torch.complex(torch.cos(angle), torch.sin(angle))
