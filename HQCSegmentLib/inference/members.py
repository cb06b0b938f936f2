"""Several scores of the same window, averaged: models of an ensemble, and mirrored images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from HQCSegmentLib.imaging.structure import Structure
from HQCSegmentLib.naming import side_of


class Scorer(Protocol):
    """From windows (batch, channels, R, A[, S]) to logits (batch, structures + 1, R, A[, S])."""

    def __call__(self, windows: Tensor) -> Tensor:
        """Score windows."""
        ...


@dataclass(frozen=True)
class Mirrored:
    """Scores of the windows mirrored left to right, brought back: structures of a side exchange their scores.

    Attributes:
        scorer: Of windows as they are.
        outputs: For each output the one that it becomes in a mirror.
    """

    scorer: Scorer
    outputs: tuple[int, ...]

    def __call__(self, windows: Tensor) -> Tensor:
        """Score windows."""
        return self.scorer(windows.flip(2)).flip(2)[:, list(self.outputs)]


def mirrored_outputs(structures: Sequence[Structure]) -> tuple[int, ...] | None:
    """For each output of a network (0 background) the one that shows the same structure in a mirror.

    Structures whose name says a side become their partner, others themselves. None where a structure has a side but no
    partner: then an image may not be mirrored.
    """
    sides = [side_of(one.name) for one in structures]
    outputs = [0]
    for index, side in enumerate(sides, start=1):
        if side is None:
            outputs.append(index)
            continue
        partners = [
            number
            for number, other in enumerate(sides, start=1)
            if other is not None and other.base == side.base and other.letter != side.letter
        ]
        if len(partners) != 1:
            return None
        outputs.append(partners[0])
    return tuple(outputs)


@dataclass
class Average:
    """Mean of several scorers' logits, as nnU-Net averages folds and mirrored images; counts where they agree.

    Attributes:
        scorers: At least one.
        agreed: For each output, twice the voxels (of all windows) where a member and the mean both choose it, summed
            over members; made with the first windows.
        chosen: For each output, the voxels where a member chooses it plus those where the mean does.
    """

    scorers: Sequence[Scorer]
    agreed: Tensor | None = field(default=None, init=False)
    chosen: Tensor | None = field(default=None, init=False)

    def __call__(self, windows: Tensor) -> Tensor:
        """Score windows."""
        if len(self.scorers) == 1:
            return self.scorers[0](windows)
        total: Tensor | None = None
        winners = []
        for scorer in self.scorers:
            scores = scorer(windows)
            winners.append(scores.argmax(dim=1))
            total = scores if total is None else total.to(scores.device) + scores
        assert total is not None
        mean = total / len(self.scorers)
        self._count([one.to(mean.device) for one in winners], mean.argmax(dim=1), mean.shape[1])
        return mean

    def agreement(self) -> list[float] | None:
        """Mean Dice of the members with their mean, for each output; None with one member. 1 where none chose it."""
        if self.agreed is None or self.chosen is None:
            return None
        return [float(a / c) if c else 1.0 for a, c in zip(self.agreed, self.chosen, strict=True)]

    def _count(self, winners: Sequence[Tensor], mean: Tensor, outputs: int) -> None:
        if self.agreed is None or self.chosen is None:
            self.agreed, self.chosen = (torch.zeros(outputs, dtype=torch.float64) for _ in range(2))
        of_mean = torch.bincount(mean.flatten(), minlength=outputs).cpu()
        for winner in winners:
            self.agreed += 2 * torch.bincount(mean[winner == mean], minlength=outputs).cpu()
            self.chosen += torch.bincount(winner.flatten(), minlength=outputs).cpu() + of_mean
