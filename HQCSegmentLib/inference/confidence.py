"""How sure the network is of each structure, from its own scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

CLEAR_BACKGROUND = 7.0
"""Where the background leads every structure by this much, their probabilities are below 0.001 and left out."""


@dataclass
class ExpectedDice:
    """The Dice that each structure's contour would have if the network's probabilities were true.

    For a structure with probability p and contour C (where it wins) this is 2 sum_C p / (|C| + sum p), the soft Dice of
    the contour with the probabilities. It needs no second prediction. Networks are often surer than they should be, so
    it ranks structures and cases and is no promise of a Dice.

    Attributes:
        inside: For each output the sum of its probability where it wins.
        total: For each output the sum of its probability.
        voxels: For each output the voxels where it wins.
    """

    inside: Tensor | None = field(default=None, init=False)
    total: Tensor | None = field(default=None, init=False)
    voxels: Tensor | None = field(default=None, init=False)

    def watch(self, planes: Iterable[Tensor]) -> Iterator[Tensor]:
        """Pass planes of scores (structures + 1, first, second) on, and add them up."""
        for plane in planes:
            self.add(plane)
            yield plane

    def add(self, scores: Tensor) -> None:
        """Count the voxels of scores (structures + 1, ...)."""
        flat = scores.reshape(len(scores), -1)
        if self.inside is None or self.total is None or self.voxels is None:
            self.inside, self.total, self.voxels = (torch.zeros(len(flat), dtype=torch.float64) for _ in range(3))
        near = flat[1:].amax(dim=0) > flat[0] - CLEAR_BACKGROUND
        probabilities = flat[:, near].softmax(dim=0)
        best, winner = probabilities.max(dim=0)
        self.inside += torch.bincount(winner, weights=best, minlength=len(flat)).cpu()
        self.voxels += torch.bincount(winner, minlength=len(flat)).cpu()
        self.total += probabilities.sum(dim=1).cpu()

    def dice(self) -> list[float]:
        """For each output; 0 where it wins nowhere."""
        if self.inside is None or self.total is None or self.voxels is None:
            return []
        sums = self.voxels + self.total
        return [float(2 * i / s) if v else 0.0 for i, s, v in zip(self.inside, sums, self.voxels, strict=True)]
