"""From factors and matrices to what is measured, with a backward that keeps nothing but the final state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from HQCSegmentLib.qpg.blocks import rows_at_once
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
        results, finals = forward(left, right, steps, matrices, measure, keep=any(ctx.needs_input_grad))
        ctx.steps, ctx.measure = steps, measure
        ctx.save_for_backward(left, right, finals, *matrices)
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        left, right, finals, *matrices = ctx.saved_tensors
        return None, None, *backward(left, right, ctx.steps, matrices, ctx.measure, finals, gradient)


def forward(
    left: Tensor,
    right: Tensor,
    steps: Sequence[Operation],
    matrices: Sequence[Tensor],
    measure: Measure,
    *,
    keep: bool,
) -> tuple[Tensor, Tensor | None]:
    """Measured values, and the final states, (batch, rows * columns), if they are to be kept for `backward`.

    Without operations they need not be kept: one matrix product makes them again.
    """
    size = left.shape[1] * right.shape[1]
    outputs = size // 2 if measure in ("differences", "products") else size
    results = torch.empty(len(left), outputs, dtype=left.real.dtype, device=left.device)
    finals = left.new_empty(len(left), size) if keep and steps else None
    workspace = left.new_empty(2, _circuits_at_once(left, right), size)
    for part in _parts(left, right):
        state, spare = workspace[:, : len(left[part])].unbind(0)
        _product(left[part], right[part], out=state)
        remaining = iter(matrices)
        for step in steps:
            if isinstance(step, Monomial):
                step.forward(state, out=spare)
            else:
                step.forward(state, next(remaining)[part], out=spare)
            state, spare = spare, state
        if finals is not None:
            finals[part] = state
        _measure(state, measure, out=results[part])
    return results, finals


def backward(
    left: Tensor,
    right: Tensor,
    steps: Sequence[Operation],
    matrices: Sequence[Tensor],
    measure: Measure,
    finals: Tensor | None,
    gradient: Tensor,
) -> list[Tensor]:
    """Gradients by left, right and every matrix, from the gradient by what was measured.

    Args:
        left: (batch, rows, terms).
        right: (batch, columns, terms).
        steps: Operations.
        matrices: Unitary, one for every operation that is not `Monomial`.
        measure: What was read.
        finals: The final states that `forward` kept, (batch, rows * columns); None where there are no operations.
        gradient: Of the shape of what was measured.
    """
    # Products with few rows are much faster than those with few columns: factors' gradients come with terms first.
    by_left, by_right = (factor.new_empty(factor.mT.shape) for factor in (left, right))
    by_matrix = [torch.empty_like(matrix) for matrix in matrices]
    size = left.shape[1] * right.shape[1]
    workspace = left.new_empty(4, _circuits_at_once(left, right), size)
    for part in _parts(left, right):
        state, costate, spare, spare_costate = workspace[:, : len(left[part])].unbind(0)
        if finals is None:
            _product(left[part], right[part], out=state)
        else:
            state.copy_(finals[part])
        _costate(state, measure, gradient[part], out=costate)
        number = len(matrices)
        for step in reversed(steps):
            if isinstance(step, Monomial):
                step.backward(state, out=spare)
                step.backward(costate, out=spare_costate)
            else:
                number -= 1
                step.backward(
                    state,
                    costate,
                    matrices[number][part],
                    out=(spare, spare_costate),
                    by_matrix=by_matrix[number][part],
                )
            state, spare = spare, state
            costate, spare_costate = spare_costate, costate
        costate = costate.unflatten(1, (left.shape[1], right.shape[1]))
        torch.bmm(right[part].mT, costate.mT, out=by_left[part]).conj_physical_()
        torch.bmm(left[part].mT, costate, out=by_right[part]).conj_physical_()
    return [by_left.mT, by_right.mT, *by_matrix]


def _circuits_at_once(left: Tensor, right: Tensor) -> int:
    """How many states are worked on at the same time."""
    return max(1, min(len(left), rows_at_once(left, numbers=left.shape[1] * right.shape[1])))


def _parts(left: Tensor, right: Tensor) -> Iterator[slice]:
    size = _circuits_at_once(left, right)
    return (slice(start, start + size) for start in range(0, len(left), size))


def _product(left: Tensor, right: Tensor, *, out: Tensor) -> None:
    """States that are sums of products, (batch, rows * columns)."""
    torch.bmm(left, right.transpose(1, 2), out=out.unflatten(1, (left.shape[1], right.shape[1])))


def _measure(state: Tensor, measure: Measure, *, out: Tensor) -> None:
    """Write what is read from states to `out`."""
    if measure in ("squares", "deviations"):
        _square(state, out=out)
        if measure == "deviations":
            out.sub_(1)
        return
    zero, one = state.chunk(2, dim=1)
    if measure == "differences":
        _square(zero, out=out)
        out.sub_(_square(one, out=torch.empty_like(out))).mul_(0.5)
    elif state.is_complex():
        torch.mul(zero.real, one.real, out=out).addcmul_(zero.imag, one.imag)
    else:
        torch.mul(zero, one, out=out)


def _square(state: Tensor, *, out: Tensor) -> Tensor:
    if not state.is_complex():
        return torch.mul(state, state, out=out)
    return torch.mul(state.real, state.real, out=out).addcmul_(state.imag, state.imag)


def _costate(state: Tensor, measure: Measure, gradient: Tensor, *, out: Tensor) -> None:
    """Conjugate of the gradient by the states, from the gradient by what was measured."""
    if measure in ("squares", "deviations"):
        torch.mul(state, gradient, out=out).mul_(2)
    else:
        zero, one = state.chunk(2, dim=1)
        first, second = out.chunk(2, dim=1)
        torch.mul(one if measure == "products" else zero, gradient, out=first)
        torch.mul(zero if measure == "products" else one, gradient, out=second)
        if measure == "differences":
            second.neg_()
    out.conj_physical_()
