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
        found = sums_everywhere(flat) if flat.device.type == "cuda" else sums_where_near(flat)
        if self.inside is None or self.total is None or self.voxels is None:
            # On a GPU they stay there: to wait for those of every plane takes longer than to compute them.
            self.inside, self.total, self.voxels = (one.double() for one in found)
            return
        self.inside += found[0].to(self.inside.device)
        self.total += found[1].to(self.total.device)
        self.voxels += found[2].to(self.voxels.device)

    def dice(self) -> list[float]:
        """For each output; 0 where it wins nowhere."""
        if self.inside is None or self.total is None or self.voxels is None:
            return []
        inside, total, voxels = (sums.tolist() for sums in (self.inside, self.total, self.voxels))
        return [2 * i / (v + t) if v else 0.0 for i, t, v in zip(inside, total, voxels, strict=True)]


def _near(flat: Tensor) -> Tensor:
    """Where probabilities are not left out, of scores (structures + 1, voxels)."""
    return flat[1:].amax(dim=0) > flat[0] - CLEAR_BACKGROUND


def sums_where_near(flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """inside, total, voxels of scores (structures + 1, voxels), on the CPU."""
    probabilities = flat[:, _near(flat)].softmax(dim=0)
    best, winner = probabilities.max(dim=0)
    inside = torch.bincount(winner, weights=best, minlength=len(flat))
    return inside.cpu(), probabilities.sum(dim=1).cpu(), torch.bincount(winner, minlength=len(flat)).cpu()


def sums_everywhere(flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same on the device; to choose voxels a GPU would have to be waited for, and its `bincount` is in no order."""
    near = _near(flat)
    probabilities = flat.softmax(dim=0) * near
    outputs = torch.arange(len(flat), device=flat.device).unsqueeze(1)
    wins = (probabilities.argmax(dim=0) == outputs) & near
    return (probabilities * wins).sum(dim=1), probabilities.sum(dim=1), wins.sum(dim=1)
