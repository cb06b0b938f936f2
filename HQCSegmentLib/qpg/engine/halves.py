"""Both halves of the qubits on their way through the first stages of circuits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from HQCSegmentLib.qpg.engine.fetches import Fetches, entangled, fetched, rotated
from HQCSegmentLib.qpg.engine.matrices import local_matrices, one_qubit_states, product_state
from HQCSegmentLib.qpg.engine.program import Fixed, Local, Program, Stage
from HQCSegmentLib.qpg.engine.windows import MAX_WIDTH, chunks


@dataclass(frozen=True)
class Turned:
    """A group of neighbouring qubits after it was turned.

    Attributes:
        matrix: (batch, 2**q, 2**q), q being the number of qubits of the group.
        half: What it is part of after it, with this group first and the groups before it last,
            (batch, amplitudes, terms).
    """

    matrix: Tensor
    half: Tensor

    @property
    def next_first(self) -> list[Fetches]:
        """Bring the group that was turned to the end, so that the next one is first."""
        return [rotated(self.matrix.shape[1], self.half.shape[1], self.half.device)]


@dataclass(frozen=True)
class Side:
    """One half of the qubits, or both where they are equally many: then one after the other, as one batch.

    Attributes:
        parts: The qubits of each.
    """

    parts: tuple[slice, ...]

    @cached_property
    def groups(self) -> list[list[slice]]:
        """Groups of neighbouring qubits that are turned together, of every part: two where they can be."""
        (width,) = {part.stop - part.start for part in self.parts}
        groups = chunks(width)
        if 1 < width <= 2 * MAX_WIDTH:
            middle = (width + 1) // 2
            groups = [slice(0, middle), slice(middle, width)]
        return [[slice(part.start + one.start, part.start + one.stop) for part in self.parts] for one in groups]

    def stacked(self, by_qubit: Tensor) -> Tensor:
        """(batch, qubits, ...) -> (parts * batch, qubits of a part, ...)."""
        return torch.cat([by_qubit[:, part] for part in self.parts])

    def entangled(self, stage: Fixed, like: Tensor, *, turned: bool) -> list[Fetches]:
        """What an entangler does to each part; where it was turned before, its last group comes first."""
        last = self.groups[-1][0]
        in_front = last.stop - last.start if turned else 0
        return [
            entangled(stage.gates, part.start, part.stop, in_front, like.device, like.dtype.to_real())
            for part in self.parts
        ]


@dataclass(frozen=True)
class Passed:
    """What a side is after a stage.

    Attributes:
        half: (parts * batch, amplitudes, terms); where it was turned, the last group of qubits comes first.
        turns: What its groups went through; none where it was not turned.
    """

    half: Tensor
    turns: tuple[Turned, ...] = ()

    def finished(self) -> Tensor:
        """The half with its amplitudes in order."""
        return fetched(self.half, self.turns[-1].next_first) if self.turns else self.half


@dataclass(frozen=True)
class Halves:
    """How both halves of circuits go through their first stages.

    Attributes:
        program: The circuit.
        count: How many stages.
        cut: Number of qubits of the left half.
        uniform: Start from the uniform state scaled by 2**(qubits / 2), all amplitudes exactly 1, instead of |0...0>.
    """

    program: Program
    count: int
    cut: int
    uniform: bool

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages."""
        return self.program.stages[: self.count]

    @property
    def sides(self) -> list[Side]:
        """What is computed together."""
        return _sides(self.program.qubits, self.cut)

    def passed(self, angles: Tensor) -> list[list[Passed]]:
        """Both halves after every stage, each side by itself."""
        start, *later = self.stages
        assert isinstance(start, Local)
        vectors = one_qubit_states(start, angles, uniform=self.uniform)
        sides = [Passed(product_state(side.stacked(vectors)).unsqueeze(2)) for side in self.sides]
        result = [sides]
        turning = [stage for stage in later if isinstance(stage, Local)]
        groups = [group for side in self.sides for group in side.groups]
        matrices = iter(local_matrices(turning, groups, angles) if turning else ())
        for stage in later:
            if isinstance(stage, Fixed):
                fetches = (
                    side.entangled(stage, angles, turned=bool(passed.turns))
                    for side, passed in zip(self.sides, sides, strict=True)
                )
                sides = [Passed(fetched(passed.half, how)) for passed, how in zip(sides, fetches, strict=True)]
            else:
                of_stage = iter(next(matrices))
                sides = [
                    _turned(passed.half, [next(of_stage) for _ in side.groups])
                    for side, passed in zip(self.sides, sides, strict=True)
                ]
            result.append(sides)
        return result

    def finished(self, passed: Sequence[Passed]) -> tuple[Tensor, Tensor]:
        """Left and right half, of which sides are what they are after the last stage."""
        finished = [side.finished() for side in passed]
        left, right = finished[0].chunk(2) if len(finished) == 1 else finished
        return left, right


def _turned(half: Tensor, matrices: Sequence[Tensor]) -> Passed:
    """One matrix for each group of neighbouring qubits of a half, (batch, size, terms), which is in order."""
    turns: list[Turned] = []
    for matrix in matrices:
        if turns:
            half = fetched(half, turns[-1].next_first)
        # Matrix products with few rows are several times as fast as those with few columns: the group comes first.
        half = torch.bmm(matrix, half.reshape(len(half), matrix.shape[1], -1)).view(half.shape)
        turns.append(Turned(matrix, half))
    return Passed(half, tuple(turns))


@lru_cache(maxsize=64)
def _sides(qubits: int, cut: int) -> list[Side]:
    left, right = slice(0, cut), slice(cut, qubits)
    return [Side((left, right))] if 2 * cut == qubits else [Side((left,)), Side((right,))]
