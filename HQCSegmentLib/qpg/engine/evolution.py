"""From factors and matrices to what is measured, with a backward that keeps nothing but the final state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from HQCSegmentLib.qpg.engine.operations import Operation
from HQCSegmentLib.qpg.engine.windows import Monomial

Measure = Literal["squares", "deviations", "differences", "products"]
"""What is read from amplitudes s: |s|^2; |s|^2 - 1; half the difference, or the product, of the halves of the state.

differences: (|s0|^2 - |s1|^2) / 2; products: Re(s0 conj(s1)). s0 and s1 have first qubit 0 and 1.
"""


def evolve(
    left: Tensor, right: Tensor, *, steps: Sequence[Operation], matrices: Sequence[Tensor], measure: Measure
) -> Tensor:
    """Measured values of the state that begins as a sum of products and goes through operations.

    Args:
        left: (batch, rows, terms).
        right: (batch, columns, terms).
        steps: Operations.
        matrices: Unitary, one for every operation that is not `Monomial`.
        measure: What is read.

    Returns:
        (batch, rows * columns), or half as many; real, differentiable with respect to factors and matrices.
    """
    return _Evolution.apply(tuple(steps), measure, left, right, *matrices)


class _Evolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, steps: tuple[Operation, ...], measure: Measure, left: Tensor, right: Tensor, *matrices: Tensor
    ) -> Tensor:
        state = run(left, right, steps, matrices)
        ctx.steps, ctx.measure = steps, measure
        # Without operations the state is one matrix product, cheaper to do again than to keep.
        ctx.save_for_backward(left, right, state if steps else None, *matrices)
        return measured(state, measure, owned=not steps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        left, right, state, *matrices = ctx.saved_tensors
        if state is None:
            state = run(left, right, (), ())
        return None, None, *walk_back(left, right, state, gradient, ctx.steps, matrices, ctx.measure)


def run(left: Tensor, right: Tensor, steps: Sequence[Operation], matrices: Sequence[Tensor]) -> Tensor:
    """Final state, (batch, rows * columns)."""
    state = (left @ right.transpose(1, 2)).flatten(1)
    remaining = iter(matrices)
    for step in steps:
        state = step.forward(state) if isinstance(step, Monomial) else step.forward(state, next(remaining))
    return state


def walk_back(
    left: Tensor,
    right: Tensor,
    state: Tensor,
    gradient: Tensor,
    steps: Sequence[Operation],
    matrices: Sequence[Tensor],
    measure: Measure,
) -> list[Tensor]:
    """Gradients by left, right and every matrix, from the final state and the gradient by what is measured."""
    costate = costate_of(state, gradient, measure, owned=not steps)
    remaining = iter(reversed(matrices))
    by_matrix = []
    for step in reversed(steps):
        if isinstance(step, Monomial):
            state, costate = step.backward(state), step.backward(costate)
        else:
            state, costate, new = step.backward(state, costate, next(remaining))
            by_matrix.append(new)
    costate = costate.unflatten(1, (left.shape[1], right.shape[1]))
    return [(costate @ right).conj(), (costate.transpose(1, 2) @ left).conj(), *reversed(by_matrix)]


def measured(state: Tensor, measure: Measure, *, owned: bool) -> Tensor:
    """What is read from a state; an owned one may be overwritten."""
    if measure in ("squares", "deviations"):
        if state.is_complex():
            result = torch.view_as_real(state).square().sum(2)
        else:
            result = state.square_() if owned else state.square()
        return result.sub_(1) if measure == "deviations" else result
    zero, one = state.chunk(2, dim=1)
    if measure == "products":
        return (zero * one.conj()).real.contiguous() if state.is_complex() else zero * one
    zero, one = measured(zero, "squares", owned=False), measured(one, "squares", owned=False)
    return zero.sub_(one).mul_(0.5)


def costate_of(state: Tensor, gradient: Tensor, measure: Measure, *, owned: bool) -> Tensor:
    """Conjugate of the gradient by the state; an owned state may be overwritten."""
    if measure == "products":
        zero, one = state.chunk(2, dim=1)
        return torch.cat([one, zero], dim=1).conj_physical().mul_(gradient.repeat(1, 2))
    if measure == "differences":
        gradient = torch.cat([gradient, -gradient], dim=1)
    else:
        gradient = 2 * gradient
    state = state.conj_physical() if state.is_complex() or not owned else state
    return state * gradient
