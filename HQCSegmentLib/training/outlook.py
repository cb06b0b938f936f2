"""What more time would bring, told from the course of a run so far."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from HQCSegmentLib.training.budget import CAP
from HQCSegmentLib.training.config import BUDGET_SECONDS

RISING = 0.01
"""Gain of mean held-out Dice in the last third of the steps from which more steps look worth while; single runs differ
by about as much."""

FALLING = 0.05
"""The same for the training loss: the part by which it fell."""


def left_out(steps: int, usual: int) -> str:
    """What a run says that had no time for the usual steps (`training.budget.cap`)."""
    longer = BUDGET_SECONDS["1h"] / BUDGET_SECONDS[CAP]
    return (
        f"Of the usual {usual} steps {steps} fitted into {CAP} on this computer; --budget 1h trains {longer:.0f} times "
        f"as long, --steps {usual} the usual steps."
    )


def outlook(dice: Mapping[int, float], losses: Mapping[int, float]) -> str:
    """One or two sentences.

    Args:
        dice: Mean held-out Dice at the steps where it was measured.
        losses: Training loss of every step.
    """
    if not losses:
        return "No step was made, so that nothing can be said on more of them."
    last = max(losses)
    early = {step: value for step, value in dice.items() if step <= 2 * last / 3}
    if early and len(dice) >= 4:
        gain = dice[max(dice)] - early[max(early)]
        change = f"Mean held-out Dice changed by {gain:+.3f} in the last third of the steps"
        if gain >= RISING:
            return f"{change}: it still rose, so more time (a larger budget, more steps) would probably bring more."
        return f"{change}: more time would bring little; more cases, or better contours, would help more."
    values = np.array([losses[step] for step in sorted(losses)])
    third = len(values) // 3
    if third < 5:
        return "Too few steps were made to say what more of them would bring."
    fall = 1 - values[-third:].mean() / values[-2 * third : -third].mean()
    change = f"The training loss fell by {max(0.0, fall):.0%} from the second to the last third of the steps"
    held_out = "" if dice else ", but without held-out cases nobody knows whether other patients gain by it"
    if fall >= FALLING:
        return f"{change}: more time would lower it further{held_out}."
    return f"{change}: more time would bring little."
