"""Factors of circuits of RY and fixed gates, with their gradient by the adjoint method."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from HQCSegmentLib.qpg.engine.fetches import fetched_back
from HQCSegmentLib.qpg.engine.halves import Halves, Passed, Side
from HQCSegmentLib.qpg.engine.matrices import angle_places
from HQCSegmentLib.qpg.engine.program import Fixed, Local
from HQCSegmentLib.qpg.tables import table


class RealFactors(torch.autograd.Function):
    """Left and right half after the first stages, from angles.

    d RY(a) / da = J RY(a) / 2 with J = ((0, -1), (1, 0)), which commutes with RY. So the gradient by an angle is half
    of the scalar product of the gradient by the half after the stage with J, on that qubit, times this half; and the
    gradient goes on through the transposed matrices (Jones and Gacon, arXiv:2009.02823). These are far fewer operations
    than the graph of how the matrices were made has.
    """

    @staticmethod
    def forward(ctx: Any, angles: Tensor, halves: Halves) -> tuple[Tensor, Tensor]:
        ctx.halves, ctx.passed = halves, halves.passed(angles)
        ctx.shape = angles.shape
        # Not the kept ones themselves, which would keep their own graph.
        left, right = (half.view_as(half) for half in halves.finished(ctx.passed[-1]))
        return left, right

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, left: Tensor, right: Tensor) -> tuple[Tensor, None]:
        halves: Halves = ctx.halves
        together = len(halves.sides) == 1
        gradients = [torch.cat([left, right])] if together else [left, right]
        found = _Correlations(ctx.shape, left)
        for number, stage in reversed(list(enumerate(halves.stages))):
            for place, side in enumerate(halves.sides):
                passed: Passed = ctx.passed[number][place]
                if isinstance(stage, Fixed):
                    turned = bool(ctx.passed[number - 1][place].turns)
                    gradients[place] = fetched_back(gradients[place], side.entangled(stage, left, turned=turned))
                    continue
                assert isinstance(stage, Local)
                if passed.turns:
                    in_order = number == halves.count - 1
                    gradients[place] = found.turned(gradients[place], side, stage, passed, in_order=in_order)
                else:
                    found.started(gradients[place], side, stage, passed.half)
        return found.by_angle(), None


class _Correlations:
    """Correlations of gradients with halves, for groups of qubits, from which the gradient by all angles is made."""

    def __init__(self, shape: torch.Size, like: Tensor) -> None:
        """For angles of this shape."""
        self._shape, self._like = shape, like
        self._found: dict[int, list[Tensor]] = defaultdict(list)
        self._gates: dict[int, list[tuple[tuple[Any, ...], ...]]] = defaultdict(list)

    def turned(self, gradient: Tensor, side: Side, stage: Local, passed: Passed, *, in_order: bool) -> Tensor:
        """From the gradient by a side after RY on every qubit to that by the side before, which is in order.

        Args:
            gradient: (parts * batch, amplitudes, terms).
            side: Which.
            stage: Which angles.
            passed: The side after it.
            in_order: Whether the gradient's amplitudes are in order, or with the last group first.
        """
        for number, (groups, turned) in reversed(list(enumerate(zip(side.groups, passed.turns, strict=True)))):
            if in_order or number < len(passed.turns) - 1:
                gradient = fetched_back(gradient, turned.next_first)
            size = turned.matrix.shape[1]
            rows = gradient.reshape(len(gradient), size, -1)
            self._add(rows, turned.half.view(rows.shape), groups, stage)
            gradient = torch.bmm(turned.matrix.mT, rows).view(gradient.shape)
        return gradient

    def started(self, gradient: Tensor, side: Side, stage: Local, half: Tensor) -> None:
        """The same for the first stage, before which there is nothing."""
        for groups in side.groups:
            size = 2 ** (groups[0].stop - groups[0].start)
            rows, of_half = (tensor.reshape(len(tensor), size, -1) for tensor in (gradient, half))
            self._add(rows, of_half, groups, stage)
            # The next qubits come first.
            gradient, half = rows.mT, of_half.mT

    def by_angle(self) -> Tensor:
        """Gradient by angles, in their shape."""
        result = self._like.new_zeros(self._shape)
        flat = result.view(len(result), -1)
        for size, found in self._found.items():
            width = size.bit_length() - 1
            by_qubit = torch.cat(found) @ _generators(width, result.dtype, result.device)
            # (groups, batch, qubits) -> (batch, groups * qubits)
            by_qubit = by_qubit.view(-1, len(result), width).transpose(0, 1).flatten(1)
            # Angles of one qubit that follow each other without an entangler add up.
            for gates in zip(*(one for group in self._gates[size] for one in group), strict=True):
                flat.index_copy_(1, angle_places(gates, self._shape[2], result.device), by_qubit)
        return result

    def _add(self, gradient: Tensor, half: Tensor, groups: list[slice], stage: Local) -> None:
        size = gradient.shape[1]
        self._found[size].append(torch.bmm(gradient, half.mT).flatten(1))
        self._gates[size] += [stage.gates[group] for group in groups]


@table
def _generators(qubits: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """J / 2 on each qubit, by entries, (4**qubits, qubits)."""
    result = torch.zeros(2**qubits, 2**qubits, qubits, dtype=dtype)
    for qubit in range(qubits):
        bit = 2 ** (qubits - 1 - qubit)
        for row in range(2**qubits):
            result[row, row ^ bit, qubit] = 0.5 if row & bit else -0.5
    return result.flatten(0, 1).to(device)
