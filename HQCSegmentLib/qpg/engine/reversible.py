"""Exact state vectors with a reversible backward: only the final state is kept, and walked back gate by gate.

Memory is that of two states for any depth. The method is the usual reversible (adjoint) differentiation of
state-vector simulators (Jones and Gacon, arXiv:2009.02823), for a batch of circuits that have their own angles.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from HQCSegmentLib.qpg.engine.rotations import chunks, product_state, rotate


def probabilities(first: Tensor, later: Tensor, entangler_source: Tensor) -> Tensor:
    """Squared amplitudes of a product state that went through entangler and rotations, layer after layer.

    Args:
        first: One-qubit states after the first layer, (batch, qubits, 2), of any norm.
        later: Angles of the later layers, (batch, layers, qubits), radians.
        entangler_source: `permutations.source` of the CNOTs before each later layer, (2**qubits,).

    Returns:
        (batch, 2**qubits).
    """
    return _Squared.apply(product_state(first), later, entangler_source)


class _Squared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, state: Tensor, later: Tensor, entangler_source: Tensor) -> Tensor:
        for layer in range(later.shape[1]):
            state = rotate(state[:, entangler_source], later[:, layer])
        ctx.save_for_backward(state, later, entangler_source)
        return state.square()

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        state, later, entangler_source = ctx.saved_tensors  # type: ignore[attr-defined]
        back = torch.argsort(entangler_source)
        costate = 2 * state * grad
        angle_gradient = torch.empty_like(later)
        for layer in range(later.shape[1] - 1, -1, -1):
            angle_gradient[:, layer] = rotation_gradient(state, costate, qubits=later.shape[2])
            # Also the layer's own permutation is undone, so that the loop ends at the product state.
            state = rotate(state, -later[:, layer])[:, back]
            costate = rotate(costate, -later[:, layer])[:, back]
        return costate, angle_gradient, None


def rotation_gradient(state: Tensor, costate: Tensor, *, qubits: int) -> Tensor:
    """Derivative by the angle of an RY that acted last on each qubit: <costate| (-iY/2) |state>.

    Args:
        state: (batch, 2**qubits), after the rotations.
        costate: Gradient with respect to `state`, same shape.
        qubits: Number of qubits.

    Returns:
        (batch, qubits).
    """
    gradients = []
    for chunk in chunks(qubits):
        size, right = 2 ** (chunk.stop - chunk.start), 2 ** (qubits - chunk.stop)
        # overlap[b, i, j] = sum over all other qubits of costate_i * state_j
        a = costate.reshape(costate.shape[0], -1, size, right)
        b = state.reshape(state.shape[0], -1, size, right)
        if right == 1:
            overlap = a.squeeze(3).transpose(1, 2) @ b.squeeze(3)
        else:
            overlap = (a @ b.transpose(2, 3)).sum(1)
        index = torch.arange(size, device=state.device)
        for qubit in range(chunk.stop - chunk.start):
            bit = size >> (qubit + 1)
            zero = index[(index & bit) == 0]
            one = zero | bit
            gradients.append(0.5 * (overlap[:, one, zero].sum(1) - overlap[:, zero, one].sum(1)))
    return torch.stack(gradients, dim=1)
