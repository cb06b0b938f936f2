"""What a run gained over its base and what more time would bring, told from its course."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from HQCSegmentLib.evaluation.base_gain import BaseGain
from HQCSegmentLib.evaluation.training_report import read_events, read_fold_events
from HQCSegmentLib.training.budget import CAP
from HQCSegmentLib.training.config import BUDGET_SECONDS, TrainConfig
from HQCSegmentLib.training.events import EventLog
from HQCSegmentLib.training.plan import USUAL_STEPS
from HQCSegmentLib.training.rates import lower_rates
from HQCSegmentLib.training.record import recorded_plan

RISING = 0.01
"""Gain of mean held-out Dice in the last third of the steps from which more steps look worth while; single runs differ
by about as much."""

FALLING = 0.05
"""The same for the training loss: the part by which it fell."""


def tell_outlook(log: EventLog, out: Path, config: TrainConfig) -> None:
    """Events of what a run gained, as a warning where it did harm, and of what more time would bring.

    Args:
        log: Of the run.
        out: Its folder, with record and events; where folds were held out, they tell how Dice went.
        config: Its settings.
    """
    own = read_events(out / "events.jsonl")
    judged = [*read_fold_events(out).values()] or [own]
    gain = BaseGain.of(judged)
    plan = recorded_plan(out)
    if gain is not None and gain.is_worse:
        lower = lower_rates(config, learning_rate=plan.learning_rate, angle_rate=plan.angle_rate)
        log.emit("warning", message=f"{gain} A quarter of the rates of this run: {lower}.")
    losses = [
        {event["step"]: event["loss"] for event in events if event["event"] == "progress"} for events in (own, *judged)
    ]
    dice = [
        {event["step"]: event["mean_dice"] for event in events if event["event"] == "held-out"} for events in judged
    ]
    common = set.intersection(*(set(one) for one in dice))
    course = outlook(
        {step: float(np.mean([one[step] for one in dice])) for step in common},
        # The folds' models put together have no course of their own.
        next((one for one in losses if one), {}),
    )
    is_capped = config.steps is None and config.budget is None and plan.steps < USUAL_STEPS
    sentences = [
        *([str(gain)] if gain is not None and not gain.is_worse else []),
        *([left_out(plan.steps, USUAL_STEPS)] if is_capped else []),
        course,
    ]
    log.emit("outlook", message=" ".join(sentences))


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
