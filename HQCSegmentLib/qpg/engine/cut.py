"""Exact simulation of shallow circuits by cutting the qubits in two halves.

An entangler of the ring crosses the cut between the halves with only two of its CNOTs: from the last left to the
first right qubit, and from the last right back to the first left one. A CNOT is |0><0| (x) 1 + |1><1| (x) X, a sum
of two products, so after every entangler the state is a sum of four times as many products:

    state = sum_t left_t (x) right_t,    t = 1 .. 4^(depth - 1)

The halves have 2^(n/2) amplitudes each and cost next to nothing; the full state appears only once, as the matrix
product left^T right, and is not kept for the backward pass but multiplied out again. This is the
Schroedinger-Feynman method (Aaronson and Chen, arXiv:1612.05903, section 4) for circuits of depth up to 3, where it
needs fewer operations and memory passes than a state vector. It is exact, not an approximation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from HQCSegmentLib.qpg.circuits import CNOT
from HQCSegmentLib.qpg.engine.permutations import source
from HQCSegmentLib.qpg.engine.rotations import product_state, rotate


def halves(first: Tensor, later: Tensor, *, cut: int) -> tuple[Tensor, Tensor]:
    """Factors of the final state of a `ry_cnot_ring` circuit.

    Args:
        first: One-qubit states after the first layer of rotations, (batch, qubits, 2), of any norm.
        later: Angles of the later layers, (batch, depth - 1, qubits), radians.
        cut: Number of qubits of the left half, 1 to qubits - 1.

    Returns:
        left of shape (batch, terms, 2**cut) and right of shape (batch, terms, 2**(qubits - cut)) with
        terms = 4**(depth - 1); amplitude [a, b] of the state is the sum over terms of left[a] * right[b].
    """
    left = product_state(first[:, :cut]).unsqueeze(1)
    right = product_state(first[:, cut:]).unsqueeze(1)
    for layer in range(later.shape[1]):
        left = rotate(_branch(left, _left_branches(cut)), later[:, layer, :cut])
        right = rotate(_branch(right, _right_branches(first.shape[1] - cut)), later[:, layer, cut:])
    return left, right


def _branch(half: Tensor, branches: tuple[Tensor, Tensor]) -> Tensor:
    """(batch, terms, size) -> (batch, terms * 4, size): the half in each of the four products."""
    index, mask = (part.to(half.device) for part in branches)
    return (half[:, :, index] * mask.to(half.dtype)).flatten(1, 2)


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)  # kept, and later saved for backward passes
def _left_branches(qubits: int) -> tuple[Tensor, Tensor]:
    """Source index and 0/1 mask, both (4, 2**qubits), of the left half's part of one ring, branch (x, y).

    x is the bit of the last left qubit when the ring leaves the half (its CNOT flips the right half where x = 1);
    y is the bit of the last right qubit when the ring comes back and flips the first left qubit.
    """
    chain = source([CNOT(q, q + 1) for q in range(qubits - 1)], qubits=qubits)
    state = torch.arange(2**qubits)
    index, mask = [], []
    for x in (0, 1):
        for y in (0, 1):
            before = state ^ (y << (qubits - 1))
            index.append(chain[before])
            mask.append((before & 1) == x)
    return torch.stack(index), torch.stack(mask)


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)  # kept, and later saved for backward passes
def _right_branches(qubits: int) -> tuple[Tensor, Tensor]:
    """As `_left_branches` for the right half."""
    chain = source([CNOT(q, q + 1) for q in range(qubits - 1)], qubits=qubits)
    state = torch.arange(2**qubits)
    index, mask = [], []
    for x in (0, 1):
        for y in (0, 1):
            index.append(chain[state] ^ (x << (qubits - 1)))
            mask.append((state & 1) == y)
    return torch.stack(index), torch.stack(mask)


def squared(left: Tensor, right: Tensor) -> Tensor:
    """Squared amplitudes of sum_t left_t (x) right_t.

    Args:
        left: (batch, terms, rows).
        right: (batch, terms, columns).

    Returns:
        (batch, rows * columns).
    """
    return _SquaredProduct.apply(left, right)


def signed_difference(left: Tensor, right: Tensor) -> Tensor:
    """Half the difference of the squared amplitudes with sign qubit 0 and 1, never forming both states.

    (s0^2 - s1^2) / 2 = (s0 - s1)(s0 + s1) / 2, and differences and sums are taken on the left half.

    Args:
        left: (batch, terms, 2 * rows): the first half of the rows has sign qubit 0.
        right: (batch, terms, columns).

    Returns:
        (batch, rows * columns).
    """
    zero, one = left.chunk(2, dim=2)
    return _HalfProduct.apply(zero - one, zero + one, right)


class _SquaredProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(left, right)
        return (left.transpose(1, 2) @ right).square_().flatten(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        left, right = ctx.saved_tensors
        costate = (left.transpose(1, 2) @ right).mul_(grad.unflatten(1, (left.shape[2], right.shape[2])))
        return 2 * (right @ costate.transpose(1, 2)), 2 * (left @ costate)


class _HalfProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, difference: Tensor, total: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(difference, total, right)
        half = (difference.transpose(1, 2) * 0.5) @ right
        return half.mul_(total.transpose(1, 2) @ right).flatten(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        difference, total, right = ctx.saved_tensors
        grad = grad.unflatten(1, (difference.shape[2], right.shape[2])) * 0.5
        costate = (difference.transpose(1, 2) @ right).mul_(grad)
        grad_total = right @ costate.transpose(1, 2)
        grad_right = total @ costate
        torch.bmm(total.transpose(1, 2), right, out=costate).mul_(grad)
        grad_difference = right @ costate.transpose(1, 2)
        grad_right += difference @ costate
        return grad_difference, grad_total, grad_right
