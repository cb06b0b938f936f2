"""As many steps, and as large a network, as fit into the time that the user has, or into a usual patience."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from HQCSegmentLib.networks import PRESETS
from HQCSegmentLib.training.config import BUDGET_SECONDS, Budget
from HQCSegmentLib.training.plan import USUAL_STEPS, Plan

USED_PART = 0.85
"""Of the time that is left after reading: steps take longer when the computer does other work as well."""

FEWEST_STEPS = 50
"""Fewer are hardly worth a run."""

MOST_STEPS_TIMES = 8
"""So many times the usual steps at most: more of them were of no use, and a night is not to be spent on nothing."""

CHECKING_PART = 0.2
"""Of the time at most for judging held-out images on the way; where that is slow, it is done less often."""

TIMED_STEPS = 3

LONG_S = 5.0
"""Work of so many seconds is timed by its first time alone: what warming up adds is little then."""

CAP: Budget = "15min"
"""Time for the usual steps where the user names neither steps nor a budget: so soon there is to be a first model."""

Spent = Callable[[], float]
"""Seconds since the run began, the same in all of its processes."""

Measure = Callable[[Plan], "Speed"]
"""Times a plan."""


@dataclass(frozen=True)
class Speed:
    """Measured on this computer, with the cohort's own images.

    Attributes:
        step_s: Seconds of one step.
        check_s: Seconds of judging all held-out images once.
    """

    step_s: float
    check_s: float

    def checks_in(self, seconds: float, usual: int) -> int:
        """Checks on the way that are not too many for the time; the last one, at the end, is always made."""
        if not self.check_s:
            return usual
        return max(1, min(usual, int(CHECKING_PART * seconds / self.check_s) - 1))

    def steps_in(self, seconds: float, usual_checks: int) -> int:
        """Steps that fit, with the checks."""
        checking = (self.checks_in(seconds, usual_checks) + 1) * self.check_s
        return max(0, int((seconds - checking) * USED_PART / self.step_s))

    def __str__(self) -> str:
        """In words, for the reasons of a plan."""
        return f"{self.step_s:.2g} s a step and {self.check_s:.2g} s to judge the held-out images, measured here"


@dataclass(frozen=True)
class Sizes:
    """Other sizes of a plan; None where the user has said the size.

    Attributes:
        larger: Plan with a network of a given preset.
        smaller: Plan with a smaller patch than that of the given plan, or None if there is none.
    """

    larger: Callable[[str], Plan] | None = None
    smaller: Callable[[Plan], Plan | None] | None = None


def fit(plan: Plan, budget: Budget, *, share: float, spent: Spent, measure: Measure, sizes: Sizes) -> Plan:
    """The plan with steps, size of the network and patch that the budget allows.

    Args:
        plan: With the usual steps and patch and the smallest network.
        budget: What the user has time for.
        share: Part of the budget that this run may take; folds share it.
        spent: Mostly on reading, so far.
        measure: Times a plan.
        sizes: What may be changed.
    """

    def left() -> float:
        return BUDGET_SECONDS[budget] * share - spent()

    usual = plan.steps
    chosen, speed = _quick_enough(plan, left=left, measure=measure, sizes=sizes)
    for preset in PRESETS[1:] if sizes.larger is not None and chosen is plan else ():
        # A larger network is worth its time only if it can be trained for as long as usual.
        if speed.steps_in(left(), plan.checks) < 2 * USUAL_STEPS:
            break
        assert sizes.larger is not None
        larger = sizes.larger(preset)
        slower = measure(larger)
        if slower.steps_in(left(), plan.checks) < USUAL_STEPS:
            break
        chosen, speed = larger, slower
    possible = speed.steps_in(left(), plan.checks)
    steps = max(FEWEST_STEPS, min(possible, MOST_STEPS_TIMES * usual))
    reason = f"steps {steps}, patch {chosen.inference.window}: budget {budget}, with {speed}"
    if possible > steps:
        reason += f"; {possible} would fit, but more than {MOST_STEPS_TIMES} times the usual steps are of no use"
    return _with_steps(chosen, steps, possible, checks=speed.checks_in(left(), plan.checks), reason=reason)


def cap(plan: Plan, *, spent: Spent, measure: Measure, sizes: Sizes) -> Plan:
    """The plan with its usual steps or, where they take longer than `CAP`, as many as fit into it.

    Args:
        plan: With the usual steps.
        spent: Mostly on reading, so far.
        measure: Times a plan.
        sizes: How the patch may be made smaller; the size of the network stays.
    """

    def left() -> float:
        return BUDGET_SECONDS[CAP] - spent()

    chosen, speed = _quick_enough(plan, left=left, measure=measure, sizes=sizes)
    possible = speed.steps_in(left(), plan.checks)
    if chosen is plan and possible >= plan.steps:
        return plan
    steps = max(FEWEST_STEPS, min(possible, plan.steps))
    reason = (
        f"steps {steps} (usual: {plan.steps}), patch {chosen.inference.window}: what fits into {CAP}, with {speed}; "
        "ask for more with budget, or steps and patch"
    )
    return _with_steps(chosen, steps, possible, checks=speed.checks_in(left(), plan.checks), reason=reason)


def _quick_enough(plan: Plan, *, left: Spent, measure: Measure, sizes: Sizes) -> tuple[Plan, Speed]:
    """The plan with ever smaller patches until half of its steps fit into the time: few steps teach little."""
    chosen, speed = plan, measure(plan)
    while sizes.smaller is not None and speed.steps_in(left(), plan.checks) < plan.steps // 2:
        smaller = sizes.smaller(chosen)
        if smaller is None:
            break
        chosen, speed = smaller, measure(smaller)
    return chosen, speed


def take_over(plan: Plan, first: Plan, *, sizes: bool) -> Plan:
    """The plan with the steps that were chosen for another run, so that several runs of one cohort do as much.

    Args:
        plan: Of this run, with the usual steps.
        first: Of the run that measured.
        sizes: Whether that also chose the size of the network.
    """
    if not sizes and (plan.steps, plan.inference) == (first.steps, first.inference):
        return plan
    taken = ("steps", "checks", "inference", "micro_batches", *(("network",) if sizes else ()))
    reason = f"steps {first.steps}, patch {first.inference.window}: those of the first of the runs, which measured"
    values = {name: getattr(first, name) for name in taken}
    return plan.model_copy(update={**values, "reasons": (*plan.reasons, reason)})


def _with_steps(plan: Plan, steps: int, possible: int, *, checks: int, reason: str) -> Plan:
    if possible < FEWEST_STEPS:
        reason += f"; only {possible} would fit, which is too few, so that it will take longer"
    return plan.model_copy(update={"steps": steps, "checks": checks, "reasons": (*plan.reasons, reason)})


def seconds_of(
    work: Callable[[int], object], *, times: int = TIMED_STEPS, mean: Callable[[float], float] = float
) -> float:
    """Median seconds of a piece of work; the first time, which also warms up, counts only where it is long.

    Args:
        work: Called with 0, 1, ...
        times: How often, after the first time.
        mean: Of the seconds over all processes, which must do the work equally often.
    """
    taken = []
    for number in range(times + 1):
        begin = time.perf_counter()
        work(number)
        taken.append(mean(time.perf_counter() - begin))
        if taken[0] >= LONG_S:
            return taken[0]
    return statistics.median(taken[1:])
