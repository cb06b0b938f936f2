"""Matrices on a few neighbouring qubits of a batch of state vectors: applied, undone, and their gradients.

All matrices are unitary, so that the state before is known from the state after: nothing is kept for the backward pass
but the final state (reversible, or adjoint, differentiation; Jones and Gacon, arXiv:2009.02823). In the backward pass
the *conjugate* of the gradient by the state is carried, called costate, because then only small matrices need to be
conjugated.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MAX_WIDTH = 5
"""Most qubits that are turned together, by one 32 x 32 matrix: fewest passes over memory for their work."""


def chunks(qubits: int) -> list[slice]:
    """Neighbouring qubits in groups of nearly equal size, the larger ones first, each at most MAX_WIDTH."""
    count = -(-qubits // MAX_WIDTH)
    ends = [-(-qubits * (index + 1) // count) for index in range(count)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


@dataclass(frozen=True)
class Rotation:
    """A matrix on the first qubits, which then become the last: a whole round of these puts all in order again.

    One batched matrix product, state^T matrix^T, does both.
    """

    def forward(self, state: Tensor, matrix: Tensor, *, out: Tensor) -> None:
        """State after, (batch, 2**qubits), from the state before and (batch, 2**width, 2**width)."""
        size = matrix.shape[1]
        rows = state.unflatten(1, (size, -1))
        torch.bmm(rows.transpose(1, 2), matrix.transpose(1, 2), out=out.unflatten(1, (-1, size)))

    def backward(
        self, state: Tensor, costate: Tensor, matrix: Tensor, *, out: tuple[Tensor, Tensor], by_matrix: Tensor
    ) -> None:
        """State and costate before (`out`), and the gradient by the matrix, from state and costate after.

        Shapes are those of `forward`.
        """
        size = matrix.shape[1]
        before, before_costate = (part.unflatten(1, (size, -1)) for part in out)
        after, after_costate = (part.unflatten(1, (-1, size)).transpose(1, 2) for part in (state, costate))
        torch.bmm(matrix.mH.resolve_conj(), after, out=before)
        torch.bmm(matrix.mT, after_costate, out=before_costate)
        torch.bmm(after_costate, before.transpose(1, 2), out=by_matrix).conj_physical_()


@dataclass(frozen=True)
class Window:
    """A matrix on `width` neighbouring qubits from `start`, which stay where they are.

    Qubit 0 follows the last one: a window of 2 at the last qubit acts on the last and the first.
    """

    start: int
    width: int
    qubits: int

    def forward(self, state: Tensor, matrix: Tensor, *, out: Tensor) -> None:
        """State after, (batch, 2**qubits), from the state before and (batch, 2**width, 2**width)."""
        self._close(matrix @ self._open(state), out)

    def backward(
        self, state: Tensor, costate: Tensor, matrix: Tensor, *, out: tuple[Tensor, Tensor], by_matrix: Tensor
    ) -> None:
        """State and costate before (`out`), and the gradient by the matrix, from state and costate after.

        Shapes are those of `forward`.
        """
        before = matrix.mH.resolve_conj() @ self._open(state)
        self._close(before, out[0])
        after = self._open(costate)
        torch.bmm(after, before.transpose(1, 2), out=by_matrix).conj_physical_()
        self._close(matrix.mT @ after, out[1])

    # A copy that brings the window's qubits to the front costs less than a product with many small blocks.

    def _open(self, state: Tensor) -> Tensor:
        """(batch, 2**qubits) -> (batch, 2**width, other qubits)."""
        return self._split(state).reshape(len(state), 2**self.width, -1)

    def _close(self, opened: Tensor, out: Tensor) -> None:
        split = self._split(out)
        split.copy_(opened.reshape(split.shape))

    def _split(self, state: Tensor) -> Tensor:
        """View with the window's qubits in the dimension(s) after the batch."""
        if self.start + self.width > self.qubits:
            return state.unflatten(1, (2, -1, 2)).permute(0, 3, 1, 2)
        return state.unflatten(1, (2**self.start, 2**self.width, -1)).transpose(1, 2)


@dataclass(frozen=True)
class Monomial:
    """Fixed gates: a permutation of basis states, and signs.

    Attributes:
        index: Amplitudes after the gates are `signs * amplitudes[index]`; None: all stay where they are.
        back: Inverse of `index`.
        signs: 1 and -1, or None: all 1.
    """

    index: Tensor | None
    back: Tensor | None
    signs: Tensor | None

    def forward(self, state: Tensor, *, out: Tensor) -> None:
        """State after from the state before, (batch, 2**qubits)."""
        if self.index is None:
            out.copy_(state)
        else:
            torch.index_select(state, 1, self.index, out=out)
        if self.signs is not None:
            out.mul_(self.signs)

    def backward(self, state: Tensor, *, out: Tensor) -> None:
        """State before from the state after, (batch, 2**qubits); likewise the costate."""
        if self.back is None:
            out.copy_(state)
        else:
            torch.index_select(state, 1, self.back, out=out)
        if self.signs is not None:
            out.mul_(self.signs if self.back is None else self.signs.index_select(0, self.back))
