"""Matrices on a few neighbouring qubits of a batch of state vectors: applied, undone, and their gradients.

All matrices are unitary, so that the state before is known from the state after: nothing is kept for the backward pass
but the final state (reversible, or adjoint, differentiation; Jones and Gacon, arXiv:2009.02823). In the backward pass
the *conjugate* of the gradient by the state is carried, called costate, because then only small matrices need to be
conjugated.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

MAX_WIDTH = 4
"""Most qubits of a window (16 x 16 matrices): fewest passes over memory for their work."""


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

    width: int

    def forward(self, state: Tensor, matrix: Tensor) -> Tensor:
        """State after, (batch, 2**qubits), from the state before and (batch, 2**width, 2**width)."""
        rows = state.unflatten(1, (matrix.shape[2], -1))
        return (rows.transpose(1, 2) @ matrix.transpose(1, 2)).flatten(1)

    def backward(self, state: Tensor, costate: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """State and costate before, and the gradient by the matrix."""
        after = costate.unflatten(1, (-1, matrix.shape[1])).transpose(1, 2)
        before = matrix.mH @ state.unflatten(1, (-1, matrix.shape[1])).transpose(1, 2)
        gradient = (after @ before.transpose(1, 2)).conj()
        return before.flatten(1), (matrix.transpose(1, 2) @ after).flatten(1), gradient


@dataclass(frozen=True)
class Window:
    """A matrix on `width` neighbouring qubits from `start`, which stay where they are.

    Qubit 0 follows the last one: a window of 2 at the last qubit acts on the last and the first.
    """

    start: int
    width: int
    qubits: int

    def forward(self, state: Tensor, matrix: Tensor) -> Tensor:
        """State after, (batch, 2**qubits), from the state before and (batch, 2**width, 2**width)."""
        return self._close(matrix.unsqueeze(1) @ self._open(state))

    def backward(self, state: Tensor, costate: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """State and costate before, and the gradient by the matrix."""
        after, matrices = self._open(costate), matrix.unsqueeze(1)
        before = matrices.mH @ self._open(state)
        gradient = (after @ before.transpose(2, 3)).sum(1).conj()
        return self._close(before), self._close(matrices.transpose(2, 3) @ after), gradient

    @property
    def _wraps(self) -> bool:
        return self.start + self.width > self.qubits

    def _open(self, state: Tensor) -> Tensor:
        """(batch, 2**qubits) -> (batch, before, 2**width, after)."""
        if self._wraps:
            return state.unflatten(1, (2, -1, 2)).permute(0, 3, 1, 2).reshape(len(state), 1, 4, -1)
        return state.unflatten(1, (2**self.start, 2**self.width, -1))

    def _close(self, state: Tensor) -> Tensor:
        if self._wraps:
            return state.reshape(len(state), 2, 2, -1).permute(0, 2, 3, 1).reshape(len(state), -1)
        return state.flatten(1)


@dataclass(frozen=True)
class Monomial:
    """Fixed gates: a permutation of basis states, and signs."""

    index: Tensor | None
    back: Tensor | None
    signs: Tensor | None

    def forward(self, state: Tensor) -> Tensor:
        """State after, (batch, 2**qubits)."""
        if self.index is not None:
            state = state.index_select(1, self.index)
        return state if self.signs is None else state * self.signs

    def backward(self, state: Tensor) -> Tensor:
        """State before from the state after; likewise the costate."""
        if self.signs is not None:
            state = state * self.signs
        return state if self.back is None else state.index_select(1, self.back)
