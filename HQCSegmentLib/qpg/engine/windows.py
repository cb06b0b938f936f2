"""Operations on a batch of state vectors: applied, undone, and the gradients by their matrices.

All operations are unitary, so that the state before is known from the state after: nothing is kept for the backward
pass but the final state (reversible, or adjoint, differentiation; Jones and Gacon, arXiv:2009.02823). In the backward
pass the *conjugate* of the gradient by the state is carried, called costate, because then only small matrices need to
be conjugated.

The gradient by a matrix is known from state and costate after it, as the conjugate of C conj(matrix) with C =
costate state^T over all other qubits: C is the same whether matrices on other qubits are undone on both or on neither.
So states are undone as far as the second operation with matrices only, and not at all where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

MAX_WIDTH = 5
"""Most qubits that are turned together, by one 32 x 32 matrix: fewest passes over memory for their work."""


def chunks(qubits: int) -> list[slice]:
    """Neighbouring qubits in groups of nearly equal size, the larger ones first, each at most MAX_WIDTH."""
    count = -(-qubits // MAX_WIDTH)
    ends = [-(-qubits * (index + 1) // count) for index in range(count)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


class Operation(Protocol):
    """What is done to states, (batch, 2**qubits). All results are written to `out`; `spare` is memory of that shape."""

    @property
    def count(self) -> int:
        """How many matrices it has, each (batch, 2**width, 2**width)."""
        ...

    def forward(self, state: Tensor, matrices: Sequence[Tensor], *, out: Tensor, spare: Tensor) -> None:
        """State after from the state before."""
        ...

    def undo(self, state: Tensor, matrices: Sequence[Tensor], *, out: Tensor, spare: Tensor) -> None:
        """State before from the state after."""
        ...

    def backward(self, costate: Tensor, matrices: Sequence[Tensor], *, out: Tensor, spare: Tensor) -> None:
        """Costate before from the costate after."""
        ...

    def gradients(self, state: Tensor, costate: Tensor, matrices: Sequence[Tensor], *, out: Sequence[Tensor]) -> None:
        """Gradients by the matrices from state and costate after."""
        ...


@dataclass(frozen=True)
class Turn:
    """A matrix on each of the groups of neighbouring qubits that all qubits are divided into.

    Every matrix product turns the first qubits, which then become the last, or the last, which then become the first:
    state^T matrix^T does both at once, and after all groups the order is as before.

    Attributes:
        widths: Qubits of the groups.
    """

    widths: tuple[int, ...]

    @property
    def count(self) -> int:
        """One matrix for each group."""
        return len(self.widths)

    def forward(self, state: Tensor, matrices: Sequence[Tensor], *, out: Tensor, spare: Tensor) -> None:
        """Turn the groups, the first one first."""
        for matrix, target in zip(matrices, self._targets(out, spare), strict=True):
            size = matrix.shape[1]
            rows = state.unflatten(1, (size, -1))
            torch.bmm(rows.mT, matrix.mT, out=target.unflatten(1, (-1, size)))
            state = target

    def undo(self, state: Tensor, matrices: Sequence[Tensor], *, out: Tensor, spare: Tensor) -> None:
        """Turn the groups back, the last one first."""
        self._backwards(state, [matrix.mH.resolve_conj() for matrix in matrices], out, spare)

    def backward(self, costate: Tensor, matrices: Sequence[Tensor], *, out: Tensor, spare: Tensor) -> None:
        """The same with transposed matrices, which for real ones are the inverses."""
        self._backwards(costate, [matrix.mT for matrix in matrices], out, spare)

    def gradients(self, state: Tensor, costate: Tensor, matrices: Sequence[Tensor], *, out: Sequence[Tensor]) -> None:
        """From state and costate as they are after all groups."""
        before = 1
        for matrix, by_matrix in zip(matrices, out, strict=True):
            size = matrix.shape[1]
            if before * size == state.shape[1]:
                correlation = _correlation(*(part.unflatten(1, (-1, size)).mT for part in (costate, state)))
            else:
                # (batch * qubits before, size, qubits after)
                blocks = (part.unflatten(1, (before, size, -1)).flatten(0, 1) for part in (costate, state))
                correlation = _correlation(*blocks).unflatten(0, (-1, before)).sum(1)
            _by_matrix(correlation, matrix, out=by_matrix)
            before *= size

    def _backwards(self, state: Tensor, matrices: Sequence[Tensor], out: Tensor, spare: Tensor) -> None:
        for matrix, target in zip(reversed(matrices), self._targets(out, spare), strict=True):
            size = matrix.shape[1]
            torch.bmm(matrix, state.unflatten(1, (-1, size)).mT, out=target.unflatten(1, (size, -1)))
            state = target

    def _targets(self, out: Tensor, spare: Tensor) -> list[Tensor]:
        """Memory that the groups' results are written to in turn, the last one to `out`."""
        return [out if (self.count - number) % 2 else spare for number in range(self.count)]


@dataclass(frozen=True)
class Window:
    """A matrix on neighbouring qubits, or on any two, which all stay where they are.

    Attributes:
        targets: The qubits, the most significant one of the matrix first.
    """

    targets: tuple[int, ...]
    count = 1

    def forward(self, state: Tensor, matrices: Sequence[Tensor], *, out: Tensor, spare: Tensor) -> None:
        """State after from the state before."""
        self._apply(matrices[0], state, out)

    def undo(self, state: Tensor, matrices: Sequence[Tensor], *, out: Tensor, spare: Tensor) -> None:
        """With the inverse matrix."""
        self._apply(matrices[0].mH.resolve_conj(), state, out)

    def backward(self, costate: Tensor, matrices: Sequence[Tensor], *, out: Tensor, spare: Tensor) -> None:
        """With the transposed matrix."""
        self._apply(matrices[0].mT, costate, out)

    def gradients(self, state: Tensor, costate: Tensor, matrices: Sequence[Tensor], *, out: Sequence[Tensor]) -> None:
        """From state and costate after."""
        _by_matrix(_correlation(self._open(costate), self._open(state)), matrices[0], out=out[0])

    # A copy that brings the window's qubits to the front costs less than a product with many small blocks.

    def _apply(self, matrix: Tensor, state: Tensor, out: Tensor) -> None:
        split = self._split(out)
        split.copy_((matrix @ self._open(state)).reshape(split.shape))

    def _open(self, state: Tensor) -> Tensor:
        """(batch, 2**qubits) -> (batch, 2**width, other qubits)."""
        return self._split(state).reshape(len(state), 2 ** len(self.targets), -1)

    def _split(self, state: Tensor) -> Tensor:
        """View with the window's qubits in the dimension(s) after the batch."""
        first, last = self.targets[0], self.targets[-1]
        if last - first == len(self.targets) - 1:
            return state.unflatten(1, (2**first, 2 ** len(self.targets), -1)).transpose(1, 2)
        low, high = sorted(self.targets)
        apart = state.unflatten(1, (2**low, 2, 2 ** (high - low - 1), 2, -1))
        return apart.permute(0, 2, 4, 1, 3, 5) if first == low else apart.permute(0, 4, 2, 1, 3, 5)


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
    count = 0

    def forward(self, state: Tensor, matrices: Sequence[Tensor], *, out: Tensor, spare: Tensor) -> None:
        """State after from the state before."""
        if self.index is None:
            out.copy_(state)
        else:
            torch.index_select(state, 1, self.index, out=out)
        if self.signs is not None:
            out.mul_(self.signs)

    def undo(self, state: Tensor, matrices: Sequence[Tensor], *, out: Tensor, spare: Tensor) -> None:
        """State before from the state after."""
        if self.back is None:
            out.copy_(state)
        else:
            torch.index_select(state, 1, self.back, out=out)
        if self.signs is not None:
            out.mul_(self.signs if self.back is None else self.signs.index_select(0, self.back))

    def backward(self, costate: Tensor, matrices: Sequence[Tensor], *, out: Tensor, spare: Tensor) -> None:
        """As for states: the gates are real."""
        self.undo(costate, matrices, out=out, spare=spare)

    def gradients(self, state: Tensor, costate: Tensor, matrices: Sequence[Tensor], *, out: Sequence[Tensor]) -> None:
        """Without matrices there are none."""


def _correlation(costate: Tensor, state: Tensor) -> Tensor:
    """Over all other amplitudes, (batch, size, others) -> (batch, size, size)."""
    return torch.bmm(costate, state.mT)


def _by_matrix(correlation: Tensor, matrix: Tensor, *, out: Tensor) -> None:
    """Gradient by a matrix, from the correlation of costate and state after it."""
    torch.bmm(correlation, matrix.conj().resolve_conj(), out=out).conj_physical_()
