"""What fine-tuning gained over the base model on held-out cases; it can also lose, where the base fits already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WORSE = 0.005
"""Loss of mean held-out Dice from which a user is warned."""


@dataclass(frozen=True)
class BaseGain:
    """Mean held-out Dice of the structures that the base knows.

    Attributes:
        before: Of each structure, by the base model alone.
        after: The same by the trained model.
    """

    before: dict[str, float]
    after: dict[str, float]

    @classmethod
    def of(cls, runs: Sequence[Sequence[dict[str, Any]]]) -> BaseGain | None:
        """From the events of a run, or of the runs of all folds; None where no base was judged.

        Args:
            runs: Events of each. `base` tells the Dice of the base model, the last `held-out` that of the trained one.
        """
        pairs: dict[str, list[tuple[float, float]]] = {}
        for events in runs:
            before = _last(events, "base")
            after = _last(events, "held-out")
            for name in before.keys() & after.keys():
                pairs.setdefault(name, []).append((before[name], after[name]))
        if not pairs:
            return None
        means = {name: np.mean(found, axis=0) for name, found in sorted(pairs.items())}
        return cls(*({name: float(mean[place]) for name, mean in means.items()} for place in (0, 1)))

    @property
    def is_worse(self) -> bool:
        """Whether training did harm."""
        return self._mean(self.after) < self._mean(self.before) - WORSE

    def __str__(self) -> str:
        """In one sentence."""
        before, after = (f"{self._mean(dice):.3f}" for dice in (self.before, self.after))
        if self.is_worse:
            return (
                f"On the held-out cases the base model alone was better (mean Dice {before}) than after training "
                f"({after}): use the base as it is, or train with lower learning rates or on more cases."
            )
        return f"Training changed mean held-out Dice from {before} (the base model alone) to {after}."

    @staticmethod
    def _mean(dice: dict[str, float]) -> float:
        return float(np.mean([*dice.values()]))


def _last(events: Sequence[dict[str, Any]], kind: str) -> dict[str, float]:
    return next((event["dice"] for event in reversed(events) if event["event"] == kind), {})
