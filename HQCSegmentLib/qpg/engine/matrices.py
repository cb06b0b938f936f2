"""Matrices of gates, and of what neighbouring qubits go through together; batched over circuits, differentiable."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from HQCSegmentLib.qpg.circuits import CU3, RY, RZ, U3
from HQCSegmentLib.qpg.engine.constants import index_tensor
from HQCSegmentLib.qpg.engine.program import Local


def local_matrices(stage: Local, angles: Tensor) -> Tensor:
    """Product of the gates of each qubit.

    Args:
        stage: One-qubit gates; all qubits with the same kinds in the same order.
        angles: (batch, depth, angles per layer).

    Returns:
        (batch, qubits, 2, 2), real if all gates are.
    """
    product: Tensor | None = None
    for gates in zip(*stage.gates, strict=True):
        factor = gate_matrices(gates, angles)
        if product is None:
            product = factor
        elif isinstance(gates[0], RY) and not product.is_complex():
            product = factor @ product
        else:
            product = factor.to(_complex(product)) @ product.to(_complex(product))
    assert product is not None
    return product


def gate_matrices(gates: Sequence[RY | RZ | U3 | CU3], angles: Tensor) -> Tensor:
    """Matrices of gates of one kind (of CU3 that of the U3), (batch, gates, 2, 2)."""
    kind = type(gates[0])
    assert all(type(gate) is kind for gate in gates)
    width = angles.shape[2]
    count = 3 if kind in (U3, CU3) else 1
    places = tuple(gate.layer * width + gate.index + offset for gate in gates for offset in range(count))
    chosen = angles.flatten(1).index_select(1, index_tensor(places, angles.device))
    if kind is RY:
        cosine, sine = torch.cos(chosen / 2), torch.sin(chosen / 2)
        return _matrix(cosine, -sine, sine, cosine)
    if kind is RZ:
        phase, zero = _phase(chosen / 2), chosen.new_zeros(()).to(_complex(chosen)).expand(chosen.shape)
        return _matrix(phase.conj(), zero, zero, phase)
    theta, phi, delta = chosen.unflatten(1, (-1, 3)).unbind(2)
    cosine, sine = torch.cos(theta / 2), torch.sin(theta / 2)
    phi_phase, delta_phase = _phase(phi), _phase(delta)
    return _matrix(
        cosine.to(_complex(cosine)), -sine * delta_phase, sine * phi_phase, cosine * (phi_phase * delta_phase)
    )


def kron(matrices: Tensor) -> Tensor:
    """Kronecker product of the matrices of neighbouring qubits.

    Args:
        matrices: (..., qubits, 2, 2), the most significant qubit first.

    Returns:
        (..., 2**qubits, 2**qubits).
    """
    qubits = matrices.shape[-3]
    if qubits == 1:
        return matrices.squeeze(-3)
    left, right = kron(matrices[..., : qubits // 2, :, :]), kron(matrices[..., qubits // 2 :, :, :])
    a, b = left.shape[-1], right.shape[-1]
    # An outer product as a matrix product: its backward is one too, instead of sums over broadcast dimensions.
    outer = left.flatten(-2).unsqueeze(-1) @ right.flatten(-2).unsqueeze(-2)
    return outer.unflatten(-1, (b, b)).unflatten(-3, (a, a)).transpose(-3, -2).flatten(-2).flatten(-3, -2)


def controlled(chain: Tensor) -> Tensor:
    """Matrix of controlled gates one after the other: on qubits (0, 1), (1, 2), ...

    Args:
        chain: What each does to its target, (..., gates, 2, 2).

    Returns:
        (..., 2**(gates + 1), 2**(gates + 1)).
    """
    gates = chain.shape[-3]
    result = torch.eye(2 ** (gates + 1), dtype=chain.dtype, device=chain.device)
    result = result.expand(*chain.shape[:-3], *result.shape)
    for number in range(gates):
        # Rows by (qubits before, control, target, qubits after with all columns).
        rows = result.unflatten(-2, (2**number, 2, 2, 2 ** (gates - number - 1))).flatten(-2)
        unchanged, target = rows.unbind(-3)
        changed = chain[..., number, None, :, :] @ target
        result = torch.stack([unchanged, changed], dim=-3).flatten(-4, -2).reshape(result.shape)
    return result


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return torch.stack([a, b, c, d], dim=-1).unflatten(-1, (2, 2))


def _phase(angle: Tensor) -> Tensor:
    return torch.complex(torch.cos(angle), torch.sin(angle))


def _complex(tensor: Tensor) -> torch.dtype:
    return tensor.dtype if tensor.is_complex() else tensor.dtype.to_complex()
