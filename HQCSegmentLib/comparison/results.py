"""What a comparison found, and what may be concluded from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BOOTSTRAP_DRAWS = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Result:
    """One trained model.

    Attributes:
        method: As the user wrote it.
        patients: Patients trained on.
        seed: Of the draw of patients and of all random numbers.
        trainable_numbers: Numbers that were trained.
        seconds: Time of training.
        dice: Dice by structure and judging case; structures that are unknown in a case are left out.
    """

    method: str
    patients: int
    seed: int
    trainable_numbers: int
    seconds: float
    dice: dict[str, dict[str, float]]

    def by_case(self) -> dict[str, float]:
        """Mean Dice over the structures of each judging case."""
        cases = dict.fromkeys(case for values in self.dice.values() for case in values)
        return {
            case: float(np.mean([values[case] for values in self.dice.values() if case in values])) for case in cases
        }

    @property
    def mean(self) -> float:
        """Mean over structures of the mean Dice over cases: rare structures count as much as others."""
        return float(np.mean([np.mean(list(values.values())) for values in self.dice.values()]))


@dataclass(frozen=True)
class Summary:
    """A method with one number of patients, over all seeds.

    Attributes:
        method: As it was asked for, with settings of its own.
        patients: Trained on.
        trainable_numbers: How many the method trains.
        means: Mean Dice of each seed.
        mean: Their mean.
        difference: Mean Dice less that of the first method, same seeds and cases; None for the first method itself.
        interval: 95 % bootstrap interval of the difference over judging cases.
        better: Seeds in which the method was above the first one.
    """

    method: str
    patients: int
    trainable_numbers: int
    means: tuple[float, ...]
    mean: float
    difference: float | None = None
    interval: tuple[float, float] | None = None
    better: int = 0

    @property
    def verdict(self) -> str:
        """What the figures say about the method beside the first one, in words."""
        if self.difference is None or self.interval is None:
            return "what the others are compared with"
        seeds = len(self.means)
        if seeds >= 3 and self.better == seeds and self.interval[0] > 0:
            return "better for every seed"
        if seeds >= 3 and self.better == 0 and self.interval[1] < 0:
            return "worse for every seed"
        return "no difference shown"


@dataclass(frozen=True)
class Comparison:
    """All models of a comparison.

    Attributes:
        test: Judging cases.
        results: In order of patients, seed, and the methods as given.
    """

    test: tuple[str, ...]
    results: tuple[Result, ...]

    def summary(self) -> list[Summary]:
        """One row for every method and number of patients; the first method is what others are compared with."""
        first = self.results[0].method if self.results else ""
        groups: dict[tuple[int, str], list[Result]] = {}
        for result in self.results:
            groups.setdefault((result.patients, result.method), []).append(result)
        return [_summary(group, groups.get((patients, first), [])) for (patients, _), group in groups.items()]


def _summary(group: list[Result], first: list[Result]) -> Summary:
    means = tuple(result.mean for result in group)
    one = group[0]
    summary = Summary(one.method, one.patients, one.trainable_numbers, means, float(np.mean(means)))
    pairs = [(mine, theirs) for mine in group for theirs in first if mine.seed == theirs.seed]
    if not pairs or one.method == first[0].method:
        return summary
    differences = [mine.mean - theirs.mean for mine, theirs in pairs]
    return Summary(
        **vars(summary)
        | {
            "difference": float(np.mean(differences)),
            "interval": bootstrap_interval(_differences_by_case(pairs)),
            "better": sum(difference > 0 for difference in differences),
        }
    )


def _differences_by_case(pairs: list[tuple[Result, Result]]) -> npt.NDArray[np.float64]:
    """Difference of mean Dice in each judging case, averaged over seeds."""
    rows = []
    for mine, theirs in pairs:
        own, other = mine.by_case(), theirs.by_case()
        rows.append([own[case] - other[case] for case in own])
    return np.mean(rows, axis=0)


def bootstrap_interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean (Efron 1979), with fixed random numbers.

    Args:
        values: (cases,).

    Returns:
        Lower and upper end of the 95 % interval.
    """
    draws = np.random.default_rng(0).integers(0, len(values), (BOOTSTRAP_DRAWS, len(values)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values[draws].mean(axis=1), (tail, 1 - tail))
    return float(low), float(high)
