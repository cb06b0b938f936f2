"""As many steps, and as large a network, as fit into the time that the user has."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from HQCSegmentLib.networks import PRESETS
from HQCSegmentLib.training.config import BUDGET_SECONDS, Budget
from HQCSegmentLib.training.plan import STEPS_FROM_SCRATCH, Plan

USED_PART = 0.85
"""Of the time that is left after reading: steps take longer when the computer does other work as well."""

FEWEST_STEPS = 50
"""Fewer are hardly worth a run."""

MOST_STEPS_TIMES = 8
"""So many times the usual steps at most: more of them were of no use, and a night is not to be spent on nothing."""

TIMED_STEPS = 3

CHECKS = 10


@dataclass(frozen=True)
class Speed:
    """Measured on this computer, with the cohort's own images.

    Attributes:
        step_s: Seconds of one step.
        check_s: Seconds of judging all held-out images once.
    """

    step_s: float
    check_s: float

    def steps_in(self, seconds: float) -> int:
        """Steps that fit, with the checks of a run."""
        return int((seconds - (CHECKS + 1) * self.check_s) * USED_PART / self.step_s)


def fit(
    plan: Plan,
    budget: Budget,
    *,
    share: float,
    spent_s: float,
    measure: Callable[[Plan], Speed],
    larger: Callable[[str], Plan] | None,
) -> Plan:
    """The plan with steps, and size of the network, that the budget allows.

    Args:
        plan: With the usual steps and the smallest network.
        budget: What the user has time for.
        share: Part of the budget that this run may take; folds share it.
        spent_s: Seconds already spent, mostly on reading.
        measure: Times a plan.
        larger: Plan with a network of a given size; None where the size is fixed.
    """
    begin = time.monotonic()
    available = BUDGET_SECONDS[budget] * share - spent_s
    usual = plan.steps
    chosen, speed = plan, measure(plan)
    for preset in PRESETS[1:] if larger is not None else ():
        # A larger network is worth its time only if it can be trained for as long as usual.
        if speed.steps_in(available) < 2 * STEPS_FROM_SCRATCH:
            break
        assert larger is not None
        bigger = larger(preset)
        slower = measure(bigger)
        if slower.steps_in(available) < STEPS_FROM_SCRATCH:
            break
        chosen, speed = bigger, slower
    possible = speed.steps_in(available - (time.monotonic() - begin))
    steps = max(FEWEST_STEPS, min(possible, MOST_STEPS_TIMES * usual))
    reason = (
        f"steps {steps}: budget {budget}, with {speed.step_s:.2g} s a step and {speed.check_s:.2g} s to judge the "
        "held-out images, measured here"
    )
    if possible < FEWEST_STEPS:
        reason += f"; only {max(0, possible)} would fit, which is too few, so that it will take longer"
    elif possible > steps:
        reason += f"; {possible} would fit, but more than {MOST_STEPS_TIMES} times the usual steps are of no use"
    return chosen.model_copy(update={"steps": steps, "reasons": (*chosen.reasons, reason)})


def seconds_of(work: Callable[[int], object], *, times: int = TIMED_STEPS) -> float:
    """Median seconds of a piece of work; the first time, which also warms up, does not count."""
    taken = []
    for number in range(times + 1):
        begin = time.perf_counter()
        work(number)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[1:])
